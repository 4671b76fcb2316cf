package io.graft.io;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import org.apache.parquet.bytes.BytesInput;
import org.apache.parquet.compression.CompressionCodecFactory;
import org.apache.parquet.hadoop.metadata.CompressionCodecName;
import org.apache.parquet.hadoop.util.HadoopCodecs;

/**
 * Parquet's codecs, which refuse a page that says it will be larger than a limit before memory is made for it: a file of a
 * kilobyte may say so of gigabytes.
 */
final class BoundedCodecs implements CompressionCodecFactory, AutoCloseable {
    private final Path file;
    private final int largest;
    private final CompressionCodecFactory codecs = HadoopCodecs.newFactory(0);

    BoundedCodecs(Path file, int largest) {
        this.file = file;
        this.largest = largest;
    }

    @Override
    public BytesInputCompressor getCompressor(CompressionCodecName codec) {
        throw new UnsupportedOperationException("files are only read");
    }

    @Override
    public BytesInputDecompressor getDecompressor(CompressionCodecName codec) {
        BytesInputDecompressor unbounded = codecs.getDecompressor(codec);
        return new BytesInputDecompressor() {
            @Override
            public BytesInput decompress(BytesInput bytes, int size) throws IOException {
                check(size);
                return unbounded.decompress(bytes, size);
            }

            @Override
            public void decompress(ByteBuffer input, int stored, ByteBuffer output, int size) throws IOException {
                check(size);
                unbounded.decompress(input, stored, output, size);
            }

            @Override
            public void release() {
                unbounded.release();
            }
        };
    }

    private void check(int size) {
        if (size < 0 || size > largest) {
            throw new FormatException(
                    file,
                    "has a page of " + Integer.toUnsignedString(size) + " bytes, at most " + largest + " are read");
        }
    }

    @Override
    public void release() {
        codecs.release();
    }

    @Override
    public void close() {
        release();
    }
}
