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
    void directoryIsReplacedWhole() {
        Path target = directory.resolve("step-1");
        AtomicFiles.replaceDirectory(target, fresh -> Files.writeString(fresh.resolve("a"), "1"));
        AtomicFiles.replaceDirectory(target, fresh -> {
            Files.createDirectory(fresh.resolve("sub"));
            Files.writeString(fresh.resolve("sub/b"), "2");
        });
        assertThat(target.toFile().list()).containsExactly("sub");
        assertThat(target.resolve("sub/b")).hasContent("2");
        assertThat(directory.toFile().list()).containsExactly("step-1");
    }

    @Test
    void failureKeepsTheOldDirectory() {
        Path target = directory.resolve("step-1");
        AtomicFiles.replaceDirectory(target, fresh -> Files.writeString(fresh.resolve("a"), "1"));
        assertThatThrownBy(() -> AtomicFiles.replaceDirectory(target, fresh -> {
                    Files.writeString(fresh.resolve("a"), "2");
                    throw new IOException("disk is full");
                }))
                .isInstanceOf(UncheckedIOException.class);
        assertThat(target.resolve("a")).hasContent("1");
        assertThat(directory.toFile().list()).containsExactly("step-1");
    }

    @Test
    void interruptedReplacementIsUndoneOrFinished() throws IOException {
        Path target = directory.resolve("step-1");
        // died between the two renames
        Files.writeString(
                Files.createDirectory(directory.resolve(".step-1.old")).resolve("a"), "old");
        Files.writeString(
                Files.createDirectory(directory.resolve(".step-1.new-999999999999-x"))
                        .resolve("a"),
                "new");
        AtomicFiles.settleDirectory(target);
        assertThat(target.resolve("a")).hasContent("old");
        // died before the old one was deleted
        Files.writeString(
                Files.createDirectory(directory.resolve(".step-1.old")).resolve("a"), "older");
        AtomicFiles.settleDirectory(target);
        assertThat(target.resolve("a")).hasContent("old");
        assertThat(directory.toFile().list()).containsExactly("step-1");
        AtomicFiles.settleDirectory(directory.resolve("none/none"));
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
