package io.graft.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What does not need the model: help, bad usage (exit status 2), missing inputs (exit status 1). */
class UsageTest {
    @TempDir
    Path folder;

    @ParameterizedTest
    @ValueSource(
            strings = {
                "demo",
                "finetune",
                "compare",
                "sketch",
                "quantize",
                "combine",
                "laplace",
                "merge",
                "plan",
                "generate",
                "eval",
                "info",
                "trace"
            })
    void everyCommandExplainsItself(String command) {
        Cli run = Cli.run(command, "--help");
        assertThat(run.status()).isZero();
        assertThat(run.out()).contains("Usage: graft " + command, "--json", "--threads");
        assertThat(run.err()).isEmpty();
    }

    @Test
    void theProgramListsItsCommands() {
        assertThat(Cli.run("--help").out())
                .contains(
                        "demo",
                        "finetune",
                        "compare",
                        "sketch",
                        "quantize",
                        "combine",
                        "laplace",
                        "merge",
                        "plan",
                        "generate",
                        "eval",
                        "info",
                        "trace",
                        "`graft COMMAND --help`");
        assertThat(Cli.run("--version").out()).startsWith("graft ");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '"',
            value = {
                "|a command is missing",
                "train|Unmatched argument",
                "trace --model m|Missing required options",
                "finetune --model m --data d --out o --metod lora|Unknown options: '--metod'",
                "finetune --model m --data d --out o --method fancy|unknown method 'fancy', known: full, lora",
                "finetune --model m --data d --out o --steps 3 --epochs 1|--steps and --epochs exclude each other",
                "finetune --model m --data d --out o --batch 0|--batch must be positive, got 0",
                "finetune --model m --data d --out o --lr -1|--lr must be positive, got -1",
                "finetune --model m --data d --out o --lr 1e400|--lr must be finite, got Infinity",
                "finetune --model m --data d --out o --alpha 0|--alpha must be positive, got 0",
                "finetune --model m --data d --out o --dropout 1|--dropout must be in [0, 1), got 1.0",
                "finetune --model m --data d --out o --dtype f8|--dtype",
                "finetune --model m --data d --out o --quantize nf4 --method full|which --method full trains; take lora",
                "finetune --model m --data d --out o --keep-tokens 0|--keep-tokens must be in (0, 1], got 0.0",
                "finetune --model m --data d --out o --optimizer mezo|--optimizer mezo needs --lr",
                "finetune --model m --data d --out o --mezo-epsilon 0|--mezo-epsilon must be positive, got 0",
                "finetune --model m --data d --out o --galore-rank 0|--galore-rank must be positive, got 0",
                "generate --model m --prompt p --top-p 0|--top-p must be in (0, 1], got 0",
                "eval --model m --data d --draws 3|--draws needs --adapter",
                "eval --model m --data d --threads x|'x' is not",
                "combine --adapter a --out o --how sum|Invalid value for option '--how'",
                "combine --adapter a --adapter b --out o --how cat --weights 1|--weights has 1 numbers for 2 adapters",
                "combine --adapter a --out o --how cat --rank 3|--rank is for --how svd",
                "combine --adapter a --out o --how lorahub|--how lorahub needs --model and --data",
                "eval --model m --data d --device gpu|'gpu' is no device; there are cpu, cuda and cuda:N",
                "info --threads 0|--threads must be positive, got 0",
                "compare --model m --data d --steps 0|--steps must be positive, got 0",
                "demo --minutes -1|--minutes must be positive"
            })
    void badUsageIsTwo(String arguments, String message) {
        Cli run = Cli.run(arguments == null ? new Object[0] : arguments.split(" "));
        assertThat(run.err()).contains(message).contains("--help`").startsWith("graft");
        assertThat(run.out()).isEmpty();
        assertThat(run.status()).isEqualTo(2);
    }

    @Test
    void missingInputsAreNamed() throws Exception {
        Path absent = folder.resolve("absent");
        assertThat(Cli.run("trace", "--model", absent, "--batch", "b", "--out", "o"))
                .isEqualTo(failure("graft trace: --model does not exist: " + absent));
        assertThat(Cli.run("info", "--model", absent))
                .satisfies(run -> assertThat(run.err()).contains("--model does not exist: " + absent))
                .satisfies(run -> assertThat(run.status()).isEqualTo(1));
        Path text = Files.writeString(folder.resolve("text.txt"), "text");
        assertThat(Cli.run("eval", "--model", text, "--data", text))
                .isEqualTo(failure("graft eval: --model is not a directory: " + text));
        assertThat(Cli.run("eval", "--model", folder, "--data", absent))
                .isEqualTo(failure("graft eval: --data does not exist: " + absent));
        assertThat(Cli.run("generate", "--model", folder, "--prompt", "a"))
                .satisfies(run -> assertThat(run.err()).contains("tokenizer.json"))
                .satisfies(run -> assertThat(run.status()).isEqualTo(1));
    }

    private static Cli failure(String message) {
        return new Cli(1, "", message + System.lineSeparator());
    }
}
