package io.graft.benchmarks.bench;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.TimeUnit;

/** Whether a Python has what PEFT's training step needs. It is asked where its packages are, and imports none of them. */
final class Python {
    static final String DEFAULT = "python3";

    private static final String QUESTION = "import importlib.util as u; "
            + "print(', '.join(n for n in ('torch', 'transformers', 'peft') if u.find_spec(n) is None))";

    private static final long PATIENCE_SECONDS = 30;

    private Python() {}

    /** What it lacks, in words; null: nothing. */
    static String lack(String python) {
        try {
            Process process = new ProcessBuilder(python, "-c", QUESTION)
                    .redirectInput(new File("/dev/null"))
                    .redirectError(ProcessBuilder.Redirect.DISCARD)
                    .start();
            if (!process.waitFor(PATIENCE_SECONDS, TimeUnit.SECONDS)) {
                process.destroyForcibly();
                return python + " does not answer";
            }
            String missing = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
            if (process.exitValue() != 0) {
                return python + " is no Python that runs";
            }
            return missing.isEmpty() ? null : python + " has no " + missing;
        } catch (IOException absent) {
            return "there is no " + python;
        } catch (InterruptedException stopped) {
            Thread.currentThread().interrupt();
            return python + " was not asked";
        }
    }
}
