package io.graft.cli;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * Runs Maven on a POM, to fetch what a command needs from wherever Maven is told to fetch. However long it takes, it goes on as
 * long as its log grows, into which Maven writes how much it has of a file.
 */
public final class Maven {
    private static final Duration PATIENCE = Duration.ofMinutes(5);
    private static final Duration QUIET = Duration.ofSeconds(10);
    private static final int TAIL = 1000;
    private static final int QUOTED = 500;

    /** As Maven writes it of the files that are under way: {@code Progress (1): 19/460 MB}. */
    private static final Pattern PROGRESS = Pattern.compile("Progress \\(\\d+\\): ([^\r\n]*[^\r\n ])");

    private Maven() {}

    /**
     * Runs the goals.
     *
     * @param listener is told every ten seconds how much there is of a file
     * @param what is fetched, for messages
     * @param log where Maven's own words go
     * @throws IOException if Maven cannot be started, fails, or does nothing for five minutes; the message quotes the log
     */
    public static void run(Consumer<String> listener, String what, Path pom, Path log, String... goals)
            throws IOException {
        run(listener, what, pom, log, PATIENCE, QUIET, goals);
    }

    static void run(
            Consumer<String> listener,
            String what,
            Path pom,
            Path log,
            Duration patience,
            Duration quiet,
            String... goals)
            throws IOException {
        // why neither quiet nor in batch mode: then Maven does not say how far it is.
        List<String> command = new ArrayList<>(List.of(executable(), "-Dstyle.color=never", "-f", pom.toString()));
        command.addAll(List.of(goals));
        ProcessBuilder builder = new ProcessBuilder(command);
        builder.redirectErrorStream(true).redirectOutput(log.toFile());
        try {
            Process process = builder.start();
            process.getOutputStream().close();
            try {
                watch(listener, what, process, log, patience, quiet);
            } finally {
                process.descendants().forEach(ProcessHandle::destroyForcibly);
                process.destroyForcibly();
            }
            if (process.exitValue() != 0) {
                throw new IOException("Maven could not fetch " + what + " (exit status " + process.exitValue()
                        + "); its log, " + log + ", says: " + errors(log));
            }
        } catch (InterruptedException stopped) {
            Thread.currentThread().interrupt();
            throw new IOException("interrupted while Maven fetched " + what, stopped);
        }
    }

    /** Waits for the end, as long as the log grows. */
    private static void watch(
            Consumer<String> listener, String what, Process process, Path log, Duration patience, Duration quiet)
            throws IOException, InterruptedException {
        long size = 0;
        long grown = System.nanoTime();
        String told = "";
        while (!process.waitFor(quiet.toMillis(), TimeUnit.MILLISECONDS)) {
            if (Files.size(log) > size) {
                size = Files.size(log);
                grown = System.nanoTime();
            } else if (System.nanoTime() - grown > patience.toNanos()) {
                throw new IOException("Maven got nothing of " + what + " for "
                        + Units.duration(patience.toMillis() * 1e-3) + "; its log: " + log);
            }
            String now = progress(log);
            if (!now.equals(told)) {
                listener.accept(what + ": Maven has " + now);
                told = now;
            }
        }
    }

    /** What Maven wrote last of files under way; empty where it has not written it yet. */
    private static String progress(Path log) throws IOException {
        String last = "";
        try (RandomAccessFile file = new RandomAccessFile(log.toFile(), "r")) {
            byte[] tail = new byte[(int) Math.min(TAIL, file.length())];
            file.seek(file.length() - tail.length);
            file.readFully(tail);
            Matcher found = PROGRESS.matcher(new String(tail, StandardCharsets.UTF_8));
            while (found.find()) {
                last = found.group(1);
            }
        }
        return last;
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

    /** Maven's own errors, or all that it said where there are none. */
    private static String errors(Path log) throws IOException {
        String all = Files.readString(log).replaceAll("\\u001b\\[[0-9;]*m", "");
        String errors = all.lines().filter(line -> line.startsWith("[ERROR]")).collect(Collectors.joining("\n"));
        String text = (errors.isEmpty() ? all : errors).strip();
        return text.length() > QUOTED ? text.substring(0, QUOTED) + " …" : text;
    }
}
