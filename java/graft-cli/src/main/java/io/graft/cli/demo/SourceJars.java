package io.graft.cli.demo;

import io.graft.cli.Maven;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.DigestInputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;

/**
 * The source jars that the demo trains on: fetched by Maven from wherever Maven is told to fetch, kept in a cache
 * folder, and never used unless their SHA-256 is the recorded one.
 *
 * <p>{@code corpus-pom.xml} lists the coordinates, {@code SHA256SUMS} the checksums; both are resources.
 */
final class SourceJars {
    private final Path folder;
    private final Map<String, String> checksums;

    SourceJars(Path folder) throws IOException {
        this(folder, readChecksums());
    }

    SourceJars(Path folder, Map<String, String> checksums) {
        this.folder = folder;
        this.checksums = checksums;
    }

    /** Paths of all jars, fetched if need be, each verified; the listener is told how much there is meanwhile. */
    List<Path> obtain(Consumer<String> listener) throws IOException {
        if (!wrong().isEmpty()) {
            fetch(listener);
            List<String> wrong = wrong();
            if (!wrong.isEmpty()) {
                throw new IOException("the checksum of " + String.join(", ", wrong) + " in " + jars()
                        + " is not the recorded one, or Maven did not deliver it");
            }
        }
        return checksums.keySet().stream().map(jars()::resolve).toList();
    }

    /** Names of the jars that are missing or differ from their checksum. */
    List<String> wrong() throws IOException {
        List<String> names = new java.util.ArrayList<>();
        for (Map.Entry<String, String> expected : checksums.entrySet()) {
            Path jar = jars().resolve(expected.getKey());
            if (!Files.isRegularFile(jar) || !sha256(jar).equals(expected.getValue())) {
                names.add(expected.getKey());
            }
        }
        return names;
    }

    /** Stands for the contents of all jars. */
    String checksum() {
        return checksums.toString();
    }

    private Path jars() {
        return folder.resolve("jars");
    }

    private void fetch(Consumer<String> listener) throws IOException {
        Files.createDirectories(jars());
        Path pom = folder.resolve("pom.xml");
        try (InputStream in = SourceJars.class.getResourceAsStream("corpus-pom.xml")) {
            Files.copy(in, pom, StandardCopyOption.REPLACE_EXISTING);
        }
        Maven.run(listener, "the sources of Apache Commons", pom, folder.resolve("maven.log"), "dependency:copy");
    }

    static String sha256(Path file) throws IOException {
        try {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            try (InputStream in = new DigestInputStream(Files.newInputStream(file), digest)) {
                in.transferTo(java.io.OutputStream.nullOutputStream());
            }
            return HexFormat.of().formatHex(digest.digest());
        } catch (NoSuchAlgorithmException impossible) {
            throw new IllegalStateException(impossible);
        }
    }

    private static Map<String, String> readChecksums() throws IOException {
        Map<String, String> sums = new LinkedHashMap<>();
        try (BufferedReader reader = new BufferedReader(
                new InputStreamReader(SourceJars.class.getResourceAsStream("SHA256SUMS"), StandardCharsets.UTF_8))) {
            for (String line = reader.readLine(); line != null; line = reader.readLine()) {
                String[] fields = line.split("\\s+", 2);
                sums.put(fields[1], fields[0]);
            }
        }
        return sums;
    }
}
