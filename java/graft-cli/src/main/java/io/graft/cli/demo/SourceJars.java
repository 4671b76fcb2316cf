package io.graft.cli.demo;

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
import java.util.concurrent.TimeUnit;

/**
 * The source jars that the demo trains on: fetched by Maven from wherever Maven is told to fetch, kept in a cache
 * folder, and never used unless their SHA-256 is the recorded one.
 *
 * <p>{@code corpus-pom.xml} lists the coordinates, {@code SHA256SUMS} the checksums; both are resources.
 */
final class SourceJars {
    private static final long PATIENCE_MINUTES = 5;

    private final Path folder;
    private final Map<String, String> checksums;

    SourceJars(Path folder) throws IOException {
        this(folder, readChecksums());
    }

    SourceJars(Path folder, Map<String, String> checksums) {
        this.folder = folder;
        this.checksums = checksums;
    }

    /** Paths of all jars, fetched if need be, each verified. */
    List<Path> obtain() throws IOException {
        if (!wrong().isEmpty()) {
            fetch();
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

    private void fetch() throws IOException {
        Files.createDirectories(jars());
        Path pom = folder.resolve("pom.xml");
        try (InputStream in = SourceJars.class.getResourceAsStream("corpus-pom.xml")) {
            Files.copy(in, pom, StandardCopyOption.REPLACE_EXISTING);
        }
        Path log = folder.resolve("maven.log");
        String maven = maven();
        ProcessBuilder builder =
                new ProcessBuilder(maven, "--batch-mode", "--quiet", "-f", pom.toString(), "dependency:copy");
        builder.redirectErrorStream(true).redirectOutput(log.toFile());
        try {
            Process process = builder.start();
            process.getOutputStream().close();
            if (!process.waitFor(PATIENCE_MINUTES, TimeUnit.MINUTES)) {
                process.destroyForcibly();
                throw new IOException(
                        "Maven did not fetch the sources within " + PATIENCE_MINUTES + " minutes; its log: " + log);
            }
            if (process.exitValue() != 0) {
                throw new IOException("Maven could not fetch the sources of Apache Commons (exit status "
                        + process.exitValue() + "); its log, " + log + ", begins: " + beginning(log));
            }
        } catch (InterruptedException stopped) {
            Thread.currentThread().interrupt();
            throw new IOException("interrupted while Maven fetched the sources", stopped);
        }
    }

    /** The Maven to use: what the start script names, else a wrapper above the current folder, else the path's. */
    private static String maven() {
        String named = System.getProperty("graft.maven", System.getenv("GRAFT_MAVEN"));
        if (named != null && !named.isBlank()) {
            return named;
        }
        for (Path at = Path.of("").toAbsolutePath(); at != null; at = at.getParent()) {
            if (Files.isExecutable(at.resolve("mvnw"))) {
                return at.resolve("mvnw").toString();
            }
        }
        return "mvn";
    }

    private static String beginning(Path log) throws IOException {
        String text = Files.readString(log).replaceAll("\\u001b\\[[0-9;]*m", "").strip();
        return text.length() > 500 ? text.substring(0, 500) + " …" : text;
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
