package io.graft.benchmarks.measure;

import io.graft.cli.Units;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.bytedeco.javacpp.Loader;
import org.bytedeco.javacpp.annotation.Cast;
import org.bytedeco.javacpp.annotation.Name;
import org.bytedeco.javacpp.annotation.Platform;

/** The system's cache of files. Binding of {@code src/main/native/page_cache.h}. */
@Platform(
        include = {"graft/graft.h", "page_cache.h"},
        link = "graft",
        library = "jnigraftbenchmarks")
public final class PageCache {
    /** why: the system reads a few pages of its own accord, and drops none that are just being used. */
    private static final double KEPT = 0.01;

    static {
        Loader.load();
    }

    private PageCache() {}

    @Name("graft_page_cache_drop")
    @Cast("int64_t")
    private static native long drop(@Cast("const char*") String path);

    /**
     * Drops a file's pages, so that the next read comes from where the file is.
     *
     * @throws IllegalStateException if the system keeps more than a hundredth of them, as of a file system in memory
     */
    public static void drop(Path file) {
        long kept = drop(file.toString());
        if (kept < 0) {
            throw new IllegalStateException("the page cache does not tell of " + file);
        }
        long size;
        try {
            size = Files.size(file);
        } catch (IOException failure) {
            throw new UncheckedIOException("cannot read " + file, failure);
        }
        if (kept > KEPT * size) {
            throw new IllegalStateException("the page cache keeps " + Units.bytes(kept) + " of the "
                    + Units.bytes(size) + " of " + file + ", as where files are in memory; -Djava.io.tmpdir names"
                    + " another folder");
        }
    }
}
