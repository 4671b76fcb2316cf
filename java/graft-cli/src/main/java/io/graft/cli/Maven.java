package io.graft.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** Runs Maven on a POM, to fetch what a command needs from wherever Maven is told to fetch. */
public final class Maven {
    private static final long PATIENCE_MINUTES = 5;
    private static final int QUOTED = 500;

    private Maven() {}

    /**
     * Runs the goals.
     *
     * @param what is fetched, for messages
     * @param log where Maven's own words go
     * @throws IOException if Maven cannot be started, fails, or takes too long; the message quotes the log
     */
    public static void run(String what, Path pom, Path log, String... goals) throws IOException {
        List<String> command = new ArrayList<>(List.of(executable(), "--batch-mode", "--quiet", "-f", pom.toString()));
        command.addAll(List.of(goals));
        ProcessBuilder builder = new ProcessBuilder(command);
        builder.redirectErrorStream(true).redirectOutput(log.toFile());
        try {
            Process process = builder.start();
            process.getOutputStream().close();
            if (!process.waitFor(PATIENCE_MINUTES, TimeUnit.MINUTES)) {
                process.destroyForcibly();
                throw new IOException(
                        "Maven did not fetch " + what + " within " + PATIENCE_MINUTES + " minutes; its log: " + log);
            }
            if (process.exitValue() != 0) {
                throw new IOException("Maven could not fetch " + what + " (exit status " + process.exitValue()
                        + "); its log, " + log + ", begins: " + beginning(log));
            }
        } catch (InterruptedException stopped) {
            Thread.currentThread().interrupt();
            throw new IOException("interrupted while Maven fetched " + what, stopped);
        }
    }

    /** The Maven to use: what the start script names, else a wrapper above the current folder, else the path's. */
    private static String executable() {
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
        return text.length() > QUOTED ? text.substring(0, QUOTED) + " …" : text;
    }
}
