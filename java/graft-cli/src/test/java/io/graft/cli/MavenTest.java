package io.graft.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** How long Maven is waited for, and what is told meanwhile; a script stands for Maven. */
class MavenTest {
    private static final String MAVEN = "graft.maven";

    @TempDir
    Path folder;

    private final List<String> remarks = new ArrayList<>();
    private String before;

    @BeforeEach
    void remember() {
        before = System.getProperty(MAVEN);
    }

    @AfterEach
    void restore() {
        if (before == null) {
            System.clearProperty(MAVEN);
        } else {
            System.setProperty(MAVEN, before);
        }
    }

    private void run(String script) throws IOException {
        Path maven = Files.writeString(folder.resolve("mvn"), "#!/usr/bin/env bash\n" + script);
        assertThat(maven.toFile().setExecutable(true)).isTrue();
        System.setProperty(MAVEN, maven.toString());
        Maven.run(
                remarks::add,
                "LibTorch",
                folder.resolve("pom.xml"),
                folder.resolve("maven.log"),
                Duration.ofMillis(1500),
                Duration.ofMillis(100),
                "some:goal");
    }

    @Test
    void aSlowLineIsWaitedForAsLongAsSomethingComes() throws IOException {
        run("""
                echo "Downloading from central: $1 $2 $3 $4"
                for i in 1 2 3 4 5; do printf 'Progress (1): %d/460 MB  \\r' $i; sleep 0.6; done
                echo 'Downloaded from central: x'
                """);
        assertThat(remarks)
                .startsWith("LibTorch: Maven has 1/460 MB", "LibTorch: Maven has 2/460 MB")
                .endsWith("LibTorch: Maven has 5/460 MB");
        assertThat(folder.resolve("maven.log")).content().contains("-f " + folder.resolve("pom.xml") + " some:goal");
    }

    @Test
    void nothingForAWhileEndsIt() {
        long start = System.nanoTime();
        assertThatThrownBy(() -> run("""
                        printf 'Progress (1): 1/460 MB\\r'
                        sleep 60
                        """))
                .isInstanceOf(IOException.class)
                .hasMessageContaining("Maven got nothing of LibTorch for 0:0")
                .hasMessageContaining(folder.resolve("maven.log").toString());
        assertThat(Duration.ofNanos(System.nanoTime() - start)).isLessThan(Duration.ofSeconds(30));
    }

    @Test
    void errorsAreQuoted() {
        assertThatThrownBy(() -> run("""
                        echo '[INFO] Scanning for projects...'
                        echo '[ERROR] Could not transfer artifact'
                        exit 3
                        """))
                .isInstanceOf(IOException.class)
                .hasMessageContaining("could not fetch LibTorch (exit status 3)")
                .hasMessageEndingWith("says: [ERROR] Could not transfer artifact");
    }
}
