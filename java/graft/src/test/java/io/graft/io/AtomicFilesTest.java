package io.graft.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class AtomicFilesTest {
    @TempDir
    Path directory;

    @Test
    void textReplacesText() {
        Path file = directory.resolve("a.json");
        AtomicFiles.write(file, "one");
        AtomicFiles.write(file, "zwei: ü");
        assertThat(file).hasContent("zwei: ü");
        assertThat(directory).isDirectoryNotContaining("glob:.*");
    }

    @Test
    void failureKeepsTheOldFileAndLeavesNoOther() {
        Path file = directory.resolve("a.json");
        AtomicFiles.write(file, "old");
        assertThatThrownBy(() -> AtomicFiles.write(file, channel -> {
                    throw new IOException("disk is full");
                }))
                .isInstanceOf(UncheckedIOException.class)
                .hasMessageContaining("disk is full");
        assertThatThrownBy(() -> AtomicFiles.write(file, channel -> {
                    throw new IllegalStateException("stopped");
                }))
                .isInstanceOf(IllegalStateException.class);
        assertThat(file).hasContent("old");
        assertThat(directory.toFile().list()).containsExactly("a.json");
    }

    @Test
    void leftOversOfDeadProcessesAreRemoved() throws IOException {
        Files.writeString(directory.resolve(".a.json.new-999999999999-x"), "dead");
        Path living = directory.resolve(".a.json.new-" + ProcessHandle.current().pid() + "-x");
        Files.writeString(living, "being written");
        Files.writeString(directory.resolve(".a.json.new-mine"), "not ours");
        AtomicFiles.write(directory.resolve("a.json"), "{}");
        assertThat(directory.toFile().list())
                .containsExactlyInAnyOrder("a.json", living.getFileName().toString(), ".a.json.new-mine");
    }
}
