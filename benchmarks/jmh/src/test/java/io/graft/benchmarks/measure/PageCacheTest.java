package io.graft.benchmarks.measure;

import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assumptions.assumeThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Files that are dropped out of memory, and those that cannot be. */
public class PageCacheTest {
    private static final Path MEMORY = Path.of("/dev/shm");

    /** Whether files of a folder are nowhere but in memory. */
    public static boolean inMemory(Path folder) throws IOException {
        String type = Files.getFileStore(folder).type();
        return type.equals("tmpfs") || type.equals("ramfs");
    }

    @Test
    void aFileOnADiskIsDropped(@TempDir Path folder) throws IOException {
        assumeThat(inMemory(folder)).isFalse();
        Path file = Files.write(folder.resolve("file"), new byte[3 << 20]);
        assertThatCode(() -> PageCache.drop(file)).doesNotThrowAnyException();
        Files.readAllBytes(file);
        assertThatCode(() -> PageCache.drop(file)).doesNotThrowAnyException();
        Path empty = Files.createFile(folder.resolve("empty"));
        assertThatCode(() -> PageCache.drop(empty)).doesNotThrowAnyException();
    }

    @Test
    void aFileInMemoryIsNotCold() throws IOException {
        assumeThat(Files.isWritable(MEMORY) && inMemory(MEMORY)).isTrue();
        Path file = Files.createTempFile(MEMORY, "graft", "");
        try {
            Files.write(file, new byte[3 << 20]);
            assertThatThrownBy(() -> PageCache.drop(file))
                    .isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("keeps 3.0 MiB of the 3.0 MiB of " + file);
        } finally {
            Files.delete(file);
        }
    }

    @Test
    void aFileThatIsNotThereIsNamed(@TempDir Path folder) {
        Path absent = folder.resolve("absent");
        assertThatThrownBy(() -> PageCache.drop(absent)).hasMessageContaining("does not tell of " + absent);
    }
}
