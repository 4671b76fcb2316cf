package io.graft.benchmarks.bench;

import io.graft.benchmarks.measure.Roofline;
import io.graft.cli.Machine;
import io.graft.cli.Version;
import io.graft.tensor.Device;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;

/** What numbers depend on besides the code: machine, Java, commit, versions of libraries. */
final class Surroundings {
    private static final String UNKNOWN = "unknown";

    private Surroundings() {}

    /** A run without rows, with all libraries that there may be in it. */
    static Run run(String command, Device device, int threads) throws IOException {
        return new Run(
                Run.FORMAT,
                device.isCpu() ? Machine.processor() : device.properties().name(),
                Machine.processors(),
                Machine.instructionSets(),
                Machine.totalMemory(),
                System.getProperty("java.vm.name") + " " + System.getProperty("java.version"),
                commit(),
                libraries(),
                command,
                threads == 0 ? Machine.processors() : threads,
                Roofline.of(List.of()),
                List.of());
    }

    private static Map<String, String> libraries() throws IOException {
        Properties versions = new Properties();
        try (InputStream in = Surroundings.class.getResourceAsStream("libraries.properties")) {
            versions.load(in);
        }
        Map<String, String> all = new TreeMap<>();
        versions.forEach((name, version) -> all.put((String) name, (String) version));
        all.put("Graft", Version.read());
        return all;
    }

    /** The source tree: what the start script names, else the current folder. */
    static Path tree() {
        return Path.of(System.getProperty("graft.root", ""));
    }

    private static String commit() {
        String bundled = System.getProperty("graft.commit");
        if (bundled != null) {
            return bundled;
        }
        String commit = git("rev-parse", "--short", "HEAD");
        return commit.equals(UNKNOWN)
                        || git("status", "--porcelain", "--untracked-files=no").isEmpty()
                ? commit
                : commit + "-changed";
    }

    private static String git(String... arguments) {
        List<String> command = new java.util.ArrayList<>(
                List.of("git", "-C", tree().toAbsolutePath().toString()));
        command.addAll(List.of(arguments));
        try {
            Process process = new ProcessBuilder(command)
                    .redirectError(ProcessBuilder.Redirect.DISCARD)
                    .redirectInput(new File("/dev/null"))
                    .start();
            String text = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
            return process.waitFor() == 0 ? text : UNKNOWN;
        } catch (IOException absent) {
            return UNKNOWN;
        } catch (InterruptedException stopped) {
            Thread.currentThread().interrupt();
            return UNKNOWN;
        }
    }
}
