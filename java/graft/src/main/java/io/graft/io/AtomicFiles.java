package io.graft.io;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.UUID;
import java.util.stream.Stream;

/**
 * Files and directories that appear whole or not at all.
 *
 * <p>Contents go to a hidden neighbour first, are forced to the disk, and then take the target's name in one step. A
 * process that dies on the way leaves the old contents and perhaps a hidden neighbour, which the next write removes,
 * never half a file. A failed write (a full disk, say) removes it at once and throws {@link UncheckedIOException}.
 */
public final class AtomicFiles {
    /** Writes a file's contents, which may fail. */
    @FunctionalInterface
    public interface Writing {
        /** Writes everything to {@code channel}, and does not close it. */
        void to(FileChannel channel) throws IOException;
    }

    /** Fills a directory, which may fail. */
    @FunctionalInterface
    public interface Filling {
        /** Writes everything below {@code directory}. */
        void to(Path directory) throws IOException;
    }

    private static final long OWN_PID = ProcessHandle.current().pid();

    private AtomicFiles() {}

    /** Writes {@code text} as UTF-8. */
    public static void write(Path target, String text) {
        write(target, text.getBytes(StandardCharsets.UTF_8));
    }

    /** Writes {@code bytes}. */
    public static void write(Path target, byte[] bytes) {
        write(target, channel -> {
            ByteBuffer buffer = ByteBuffer.wrap(bytes);
            while (buffer.hasRemaining()) {
                channel.write(buffer);
            }
        });
    }

    /** Writes what {@code writing} puts into the channel. */
    public static void write(Path target, Writing writing) {
        Path temporary = freshNeighbour(target);
        try {
            deleteUnfinished(target);
            try (FileChannel channel =
                    FileChannel.open(temporary, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
                writing.to(channel);
                channel.force(true);
            }
            Files.move(temporary, target, StandardCopyOption.ATOMIC_MOVE);
            forceDirectory(parent(target));
        } catch (IOException e) {
            deleteQuietly(temporary, e);
            throw new UncheckedIOException("cannot write " + target + ": " + e.getMessage(), e);
        } catch (RuntimeException | Error e) {
            deleteQuietly(temporary, e);
            throw e;
        }
    }

    /**
     * Makes the directory {@code target} hold what {@code filling} puts into a fresh one; an older directory of that
     * name is replaced, with all that is in it. A process that dies between the two renames leaves the old one under a
     * hidden name: {@link #settleDirectory} before reading puts it back.
     */
    public static void replaceDirectory(Path target, Filling filling) {
        settleDirectory(target);
        Path fresh = freshNeighbour(target);
        Path old = old(target);
        try {
            Files.createDirectory(fresh);
            filling.to(fresh);
            forceTree(fresh);
            if (Files.exists(target)) {
                Files.move(target, old, StandardCopyOption.ATOMIC_MOVE);
            }
            Files.move(fresh, target, StandardCopyOption.ATOMIC_MOVE);
            forceDirectory(parent(target));
            deleteTree(old);
        } catch (IOException e) {
            undo(target, fresh, e);
            throw new UncheckedIOException("cannot write " + target + ": " + e.getMessage(), e);
        } catch (RuntimeException | Error e) {
            undo(target, fresh, e);
            throw e;
        }
    }

    /** Finishes or undoes a {@link #replaceDirectory} that was interrupted; does nothing where there was none. */
    public static void settleDirectory(Path target) {
        Path old = old(target);
        try {
            if (Files.exists(old) && !Files.exists(target)) {
                Files.move(old, target, StandardCopyOption.ATOMIC_MOVE);
            }
            deleteTree(old);
            if (Files.isDirectory(parent(target))) {
                deleteUnfinished(target);
            }
        } catch (IOException e) {
            throw new UncheckedIOException("cannot settle " + target + ": " + e.getMessage(), e);
        }
    }

    private static void undo(Path target, Path fresh, Throwable cause) {
        try {
            deleteTree(fresh);
            settleDirectory(target);
        } catch (IOException | UncheckedIOException e) {
            cause.addSuppressed(e);
        }
    }

    private static Path freshNeighbour(Path target) {
        return parent(target).resolve(prefix(target) + OWN_PID + "-" + UUID.randomUUID());
    }

    private static Path old(Path target) {
        return parent(target).resolve("." + target.getFileName() + ".old");
    }

    /** The start of a hidden neighbour's name; the number of the process that writes it follows. */
    private static String prefix(Path target) {
        return "." + target.getFileName() + ".new-";
    }

    /** Deletes what processes that died left behind: a checkpoint may be as large as the space that is left. */
    private static void deleteUnfinished(Path target) throws IOException {
        String prefix = prefix(target);
        try (Stream<Path> siblings = Files.list(parent(target))) {
            for (Path sibling : (Iterable<Path>) siblings::iterator) {
                String name = sibling.getFileName().toString();
                if (name.startsWith(prefix) && !isWriting(name.substring(prefix.length()))) {
                    deleteTree(sibling);
                }
            }
        }
    }

    private static boolean isWriting(String suffix) {
        String pid = suffix.substring(0, Math.max(0, suffix.indexOf('-')));
        return !pid.matches("\\d{1,18}")
                || ProcessHandle.of(Long.parseLong(pid)).isPresent();
    }

    private static Path parent(Path target) {
        return target.toAbsolutePath().getParent();
    }

    private static void forceTree(Path root) throws IOException {
        Files.walkFileTree(root, new SimpleFileVisitor<>() {
            @Override
            public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) throws IOException {
                try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
                    channel.force(true);
                }
                return FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult postVisitDirectory(Path directory, IOException failure) throws IOException {
                forceDirectory(directory);
                return super.postVisitDirectory(directory, failure);
            }
        });
    }

    /** Makes renames in a directory durable, where the system can. */
    private static void forceDirectory(Path directory) {
        try (FileChannel channel = FileChannel.open(directory, StandardOpenOption.READ)) {
            channel.force(true);
        } catch (IOException e) {
            // why: Windows cannot open a directory; its renames are journalled.
            return;
        }
    }

    private static void deleteTree(Path root) throws IOException {
        if (!Files.exists(root)) {
            return;
        }
        Files.walkFileTree(root, new SimpleFileVisitor<>() {
            @Override
            public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) throws IOException {
                Files.delete(file);
                return FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult postVisitDirectory(Path directory, IOException failure) throws IOException {
                Files.delete(directory);
                return super.postVisitDirectory(directory, failure);
            }
        });
    }

    private static void deleteQuietly(Path file, Throwable cause) {
        try {
            Files.deleteIfExists(file);
        } catch (IOException e) {
            cause.addSuppressed(e);
        }
    }
}
