package io.graft.io;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;

/**
 * Documents as tokens in a temporary file, so that they may be larger than memory: appended one after the other, then read
 * at any place. In memory are where documents end, 8 bytes each. A token is 4 bytes: its id where it is learnt, and {@code ~id}
 * where it is read only. The file has no name any more while it is in use, and is gone with this object or the process.
 */
public final class TokenFile {
    private static final int BUFFERED = 1 << 14;

    private final FileChannel file;
    private final ByteBuffer writing =
            ByteBuffer.allocateDirect(BUFFERED * Integer.BYTES).order(ByteOrder.nativeOrder());
    private long[] ends = new long[16];
    private int documents;
    private long written;

    /** An empty file. */
    public TokenFile() {
        try {
            Path path = Files.createTempFile("graft-tokens-", ".bin");
            file = FileChannel.open(
                    path, StandardOpenOption.READ, StandardOpenOption.WRITE, StandardOpenOption.DELETE_ON_CLOSE);
        } catch (IOException e) {
            throw new UncheckedIOException("no temporary file for tokens: " + e, e);
        }
    }

    /** Adds a document behind the others. */
    public void append(Document document) {
        int[] ids = document.ids();
        int[] labels = document.labels();
        for (int i = 0; i < ids.length; i++) {
            if (!writing.hasRemaining()) {
                flush();
            }
            writing.putInt(labels[i] == TextDataset.IGNORED ? ~ids[i] : ids[i]);
        }
        written += ids.length;
        if (documents == ends.length) {
            ends = Arrays.copyOf(ends, 2 * documents);
        }
        ends[documents++] = written;
    }

    /** How many documents there are. */
    public int documents() {
        return documents;
    }

    /** How many tokens all documents have. */
    public long tokens() {
        return written;
    }

    /** One of the documents. */
    public Document document(int index) {
        long start = index == 0 ? 0 : ends[index - 1];
        int[] ids = new int[(int) (ends[index] - start)];
        int[] labels = new int[ids.length];
        read(start, ids, labels, 0, ids.length);
        return new Document(ids, labels);
    }

    /** Reads so many tokens, whichever documents they belong to, with their labels. */
    synchronized void read(long first, int[] ids, int[] labels, int offset, int count) {
        flush();
        ByteBuffer bytes = ByteBuffer.allocate(count * Integer.BYTES).order(ByteOrder.nativeOrder());
        try {
            while (bytes.hasRemaining()) {
                if (file.read(bytes, first * Integer.BYTES + bytes.position()) < 0) {
                    throw new IOException("the file of tokens ends early");
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException("tokens cannot be read: " + e, e);
        }
        bytes.flip();
        for (int i = 0; i < count; i++) {
            int token = bytes.getInt();
            ids[offset + i] = token < 0 ? ~token : token;
            labels[offset + i] = token < 0 ? TextDataset.IGNORED : token;
        }
    }

    private synchronized void flush() {
        writing.flip();
        try {
            while (writing.hasRemaining()) {
                file.write(writing);
            }
        } catch (IOException e) {
            throw new UncheckedIOException("tokens cannot be written to a temporary file: " + e, e);
        }
        writing.clear();
    }
}
