package io.graft.cli;

import io.graft.adapter.LoraSet;
import io.graft.io.ChatTemplate;
import io.graft.io.StopTokens;
import io.graft.io.Tokenizer;
import io.graft.model.Generator;
import io.graft.model.Llama;
import io.graft.model.Sampling;
import io.graft.tensor.Context;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code graft generate}: continues prompts, showing the text as it comes; each by its own adapter where it has one. */
@Command(name = "generate", description = "Continue a prompt, or several.")
final class GenerateCommand extends GraftCommand {
    @Mixin
    ModelOptions model;

    @Option(
            names = "--adapter",
            paramLabel = "DIR",
            description =
                    "Adapter in PEFT's layout. Several LoRA adapters: the first for the first --prompt, and so on.")
    List<Path> adapters = List.of();

    @Option(names = "--prompt", paramLabel = "TEXT", description = "What to continue; may be given several times.")
    List<String> prompts = List.of();

    @Option(
            names = "--prompts",
            paramLabel = "FILE",
            description =
                    "Prompts of a .jsonl file, continued together: a line with \"prompt\", or with \"messages\" by the"
                            + " model's chat template, and with \"adapter\" where there are several.")
    Path file;

    @Option(
            names = "--results",
            paramLabel = "FILE",
            description = "With --prompts: where each line goes with its \"text\", \"tokens\" and \"end\".")
    Path results;

    @Option(
            names = "--batch",
            paramLabel = "N",
            description = "With --prompts: so many are continued together (default: ${DEFAULT-VALUE}).")
    int batch = 8;

    @Option(
            names = "--cache-tokens",
            paramLabel = "N",
            description = "With --prompts: memory for the keys and values of so many tokens; a line waits for its own"
                    + " (default: what --batch lines take).")
    long cacheTokens = Long.MAX_VALUE;

    @Option(
            names = "--chat",
            description = "Ask each --prompt as a user would, by the model's chat template, and show the answer alone.")
    boolean chat;

    @Option(names = "--system", paramLabel = "TEXT", description = "With --chat: what the system says first.")
    String system;

    @Option(names = "--max-tokens", paramLabel = "N", description = "At most so many new tokens (default: 128).")
    int maxTokens = 128;

    @Option(names = "--temperature", paramLabel = "X", description = "0: always the likeliest (default: 0.8).")
    double temperature = 0.8;

    @Option(names = "--top-k", paramLabel = "K", description = "Only the K likeliest; 0: all (default: 0).")
    int topK;

    @Option(names = "--top-p", paramLabel = "P", description = "Only the likeliest that reach P (default: 0.95).")
    double topP = 0.95;

    @Option(
            names = "--min-p",
            paramLabel = "P",
            description = "Only tokens with this share of the likeliest one's probability; 0: all (default: 0).")
    double minP;

    @Option(
            names = "--repetition-penalty",
            paramLabel = "X",
            description = "Makes tokens less likely that were there before; 1: none (default: 1).")
    double repetitionPenalty = 1;

    @Option(
            names = "--stop",
            paramLabel = "TEXT",
            description = "End before this text, which is not shown; may be given several times.")
    List<String> stops = List.of();

    @Option(names = "--seed", paramLabel = "N", description = "Same seed, same text (default: 0).")
    long seed;

    @Option(
            names = "--adapter-drop",
            paramLabel = "N",
            description = "AdapterDrop: without the adapter of the lowest N blocks (default: 0).")
    int adapterDrop;

    private Set<Integer> ends;

    @Override
    protected int execute() throws IOException {
        positive("--max-tokens", maxTokens);
        notNegative("--temperature", temperature);
        notNegative("--top-k", topK);
        if (!(topP > 0 && topP <= 1)) {
            throw usage("--top-p must be in (0, 1], got " + topP);
        }
        if (!(minP >= 0 && minP <= 1)) {
            throw usage("--min-p must be in [0, 1], got " + minP);
        }
        positive("--repetition-penalty", repetitionPenalty);
        if (stops.contains("")) {
            throw usage("--stop must not be empty");
        }
        if (prompts.isEmpty() == (file == null)) {
            throw usage("give either --prompt or --prompts");
        }
        if ((file == null) != (results == null)) {
            throw usage("--prompts and --results go together");
        }
        positive("--batch", batch);
        positive("--cache-tokens", cacheTokens);
        if (file != null) {
            existing("--prompts", file);
            new OutputTarget("--results", results).checkFile(file);
            if (chat) {
                throw usage("--chat is for --prompt; lines with \"messages\" are chats");
            }
        } else if (adapters.size() > 1 && adapters.size() != prompts.size()) {
            throw usage("each --prompt needs its --adapter: got " + prompts.size() + " and " + adapters.size());
        }
        if (system != null && !chat) {
            throw usage("--system needs --chat");
        }
        model.check();
        ChatTemplate template = chat ? ChatTemplate.read(model.folder) : null;
        try (Context context = openContext(model.device);
                Tokenizer tokenizer = Tokenizer.load(model.folder);
                OpenModel opened = open(context)) {
            opened.llama().leaveOutAdapters(adapterDrop);
            adapters.forEach(folder -> model.remarkBase(out(), folder));
            ends = StopTokens.read(model.folder, opened.config());
            if (file != null) {
                return new PromptRun(this, tokenizer, opened.llama(), ends).run(ChatTemplate.find(model.folder));
            }
            for (int i = 0; i < prompts.size() && !out().closed(); i++) {
                String adapter = adapters.size() > 1 ? adapters.get(i).toString() : null;
                generate(tokenizer, opened, template, prompts.get(i), adapter);
            }
        }
        return 0;
    }

    /** Several adapters on one model are named by their folders. */
    private OpenModel open(Context context) {
        if (adapters.size() <= 1) {
            return model.open(context, adapters.isEmpty() ? null : adapters.get(0), false);
        }
        Map<String, Path> named = new LinkedHashMap<>();
        adapters.forEach(folder -> named.put(folder.toString(), existingFolder("--adapter", folder)));
        return model.open(context, Llama.Options.training(LoraSet.frozen(named)));
    }

    Sampling sampling() {
        return new Sampling(temperature, topK, topP, minP, repetitionPenalty, seed);
    }

    private int[] encode(Tokenizer tokenizer, ChatTemplate template, String prompt) {
        if (template == null) {
            return tokenizer.encode(prompt, true);
        }
        List<Map<String, String>> messages = new ArrayList<>();
        if (system != null) {
            messages.add(Map.of("role", "system", "content", system));
        }
        messages.add(Map.of("role", "user", "content", prompt));
        return tokenizer.encode(template.render(messages, true), false);
    }

    private void generate(Tokenizer tokenizer, OpenModel opened, ChatTemplate template, String prompt, String adapter) {
        int[] ids = encode(tokenizer, template, prompt);
        if (ids.length == 0) {
            throw usage("--prompt has no tokens");
        }
        opened.remarkLength(out(), "--max-tokens", (long) ids.length + maxTokens);
        TextStream text = new TextStream(tokens -> tokenizer.decode(tokens, true), stops);
        long started = System.nanoTime();
        out().stream(template == null ? prompt : "");
        int[] made;
        try (Generator generator = new Generator(opened.llama(), adapter)) {
            made = generator.generate(ids, maxTokens, sampling(), token -> {
                if (ends.contains(token)) {
                    return false;
                }
                String piece = text.add(token);
                out().stream(piece);
                out().event("token", "id", token, "text", piece);
                return !text.stopped() && !out().closed();
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
