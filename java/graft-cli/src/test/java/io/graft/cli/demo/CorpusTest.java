package io.graft.cli.demo;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CorpusTest {
    private static final String LICENCE = "/*\n * Licensed under the Apache License\n */\n";

    @TempDir
    Path folder;

    @Test
    void partsMainAndTests() throws Exception {
        Corpus corpus = Corpus.read(List.of(jar("a-1-sources.jar", 20), jar("a-1-test-sources.jar", 10)));
        assertThat(corpus.main().training()).hasSize(18);
        assertThat(corpus.main().validation()).hasSize(2);
        assertThat(corpus.tests().training()).hasSize(9);
        assertThat(corpus.tests().validation()).hasSize(1);
        assertThat(corpus.main().training()).allSatisfy(text -> assertThat(text).startsWith("package a;"));
        assertThat(corpus)
                .isEqualTo(Corpus.read(
                        List.of(folder.resolve("jars/a-1-sources.jar"), folder.resolve("jars/a-1-test-sources.jar"))));
    }

    @Test
    void onlyALicenceIsLeftOut() {
        assertThat(Corpus.withoutLicence(LICENCE + "\nclass A {}")).isEqualTo("class A {}\n");
        assertThat(Corpus.withoutLicence("/* what A is */\nclass A {}")).isEqualTo("/* what A is */\nclass A {}\n");
        assertThat(Corpus.withoutLicence("/* no end")).isEqualTo("/* no end\n");
    }

    @Test
    void aJarWithTheRightChecksumNeedsNoMaven() throws Exception {
        Path jar = jar("a-1-sources.jar", 2);
        SourceJars jars = new SourceJars(folder, Map.of("a-1-sources.jar", SourceJars.sha256(jar)));
        assertThat(jars.obtain(line -> {})).containsExactly(jar);
    }

    @Test
    void aJarWithAnotherChecksumIsNamed() throws Exception {
        jar("a-1-sources.jar", 2);
        SourceJars jars = new SourceJars(folder, Map.of("a-1-sources.jar", "00", "b.jar", "00"));
        assertThat(jars.wrong()).containsExactlyInAnyOrder("a-1-sources.jar", "b.jar");
    }

    @Test
    void aMavenThatFailsIsReportedWithItsLog() throws Exception {
        Path maven = folder.resolve("mvn");
        Files.writeString(maven, "#!/bin/sh\necho no network here\nexit 1\n");
        assertThat(maven.toFile().setExecutable(true)).isTrue();
        System.setProperty("graft.maven", maven.toString());
        try {
            assertThatThrownBy(() -> new SourceJars(folder, Map.of("b.jar", "00")).obtain(line -> {}))
                    .isInstanceOf(IOException.class)
                    .hasMessageContaining("no network here")
                    .hasMessageContaining("maven.log");
        } finally {
            System.clearProperty("graft.maven");
        }
    }

    @Test
    void checksumsAndCoordinatesAgree() throws Exception {
        String pom = new String(
                SourceJars.class.getResourceAsStream("corpus-pom.xml").readAllBytes(), StandardCharsets.UTF_8);
        String sums =
                new String(SourceJars.class.getResourceAsStream("SHA256SUMS").readAllBytes(), StandardCharsets.UTF_8);
        assertThat(sums.lines()).hasSize(pom.split("<artifactItem>").length - 1);
        assertThat(sums.lines()).allMatch(line -> line.matches("[0-9a-f]{64}  [a-z0-9.-]+\\.jar"));
    }

    private Path jar(String name, int files) throws IOException {
        Path jar = folder.resolve("jars").resolve(name);
        Files.createDirectories(jar.getParent());
        try (ZipOutputStream zip = new ZipOutputStream(Files.newOutputStream(jar))) {
            for (int i = 0; i < files; i++) {
                zip.putNextEntry(new ZipEntry("a/A" + i + ".java"));
                zip.write((LICENCE + "package a;\nclass A" + i + " {}\n").getBytes(StandardCharsets.UTF_8));
            }
            zip.putNextEntry(new ZipEntry("META-INF/LICENSE.txt"));
            zip.write(1);
        }
        return jar;
    }
}
