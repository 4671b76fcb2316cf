package io.graft.cli;

import io.graft.io.Tokenizer;
import io.graft.model.Generator;
import io.graft.tensor.Context;
import java.nio.file.Path;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code graft generate}: continues a prompt, showing the text as it comes. */
@Command(name = "generate", description = "Continue a prompt.")
final class GenerateCommand extends GraftCommand {
    @Mixin
    ModelOptions model;

    @Option(names = "--adapter", paramLabel = "DIR", description = "Adapter in PEFT's layout.")
    Path adapter;

    @Option(names = "--prompt", required = true, paramLabel = "TEXT", description = "What to continue.")
    String prompt;

    @Option(names = "--max-tokens", paramLabel = "N", description = "At most so many new tokens (default: 128).")
    int maxTokens = 128;

    @Option(names = "--temperature", paramLabel = "X", description = "0: always the likeliest (default: 0.8).")
    double temperature = 0.8;

    @Option(names = "--top-k", paramLabel = "K", description = "Only the K likeliest; 0: all (default: 0).")
    int topK;

    @Option(names = "--top-p", paramLabel = "P", description = "Only the likeliest that reach P (default: 0.95).")
    double topP = 0.95;

    @Option(names = "--seed", paramLabel = "N", description = "Same seed, same text (default: 0).")
    long seed;

    @Override
    int execute() {
        positive("--max-tokens", maxTokens);
        notNegative("--temperature", temperature);
        notNegative("--top-k", topK);
        if (!(topP > 0 && topP <= 1)) {
            throw usage("--top-p must be in (0, 1], got " + topP);
        }
        model.check();
        try (Context context = openContext();
                Tokenizer tokenizer = Tokenizer.load(model.folder);
                OpenModel opened = model.open(context, adapter, false)) {
            generate(tokenizer, opened);
        }
        return 0;
    }

    private void generate(Tokenizer tokenizer, OpenModel opened) {
        int[] ids = tokenizer.encode(prompt, true);
        if (ids.length == 0) {
            throw usage("--prompt has no tokens");
        }
        TextStream text = new TextStream(tokens -> tokenizer.decode(tokens, true));
        long started = System.nanoTime();
        out().stream(prompt);
        int[] made;
        try (Generator generator = new Generator(opened.llama())) {
            Generator.Sampling sampling = new Generator.Sampling(temperature, topK, topP, seed);
            made = generator.generate(ids, maxTokens, sampling, token -> {
                if (opened.config().eosIds().contains(token)) {
                    return false;
                }
                String piece = text.add(token);
                out().stream(piece);
                out().event("token", "id", token, "text", piece);
                return true;
            });
        }
        out().stream(text.finish());
        double seconds = (System.nanoTime() - started) * 1e-9;
        out().say("");
        out().note("%d tokens, %.1f tokens/s", made.length, made.length / seconds);
        out().event(
                        "generated",
                        "prompt",
                        prompt,
                        "text",
                        text.text(),
                        "ids",
                        made,
                        "tokens",
                        made.length,
                        "tokens_per_second",
                        made.length / seconds);
    }
}
