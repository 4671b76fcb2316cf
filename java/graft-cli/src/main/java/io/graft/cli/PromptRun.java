package io.graft.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.graft.adapter.LoraSet;
import io.graft.io.ChatTemplate;
import io.graft.io.FormatException;
import io.graft.io.Tokenizer;
import io.graft.model.BatchGenerator;
import io.graft.model.Llama;
import java.io.BufferedWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Set;

/**
 * The prompts of a file, continued together; each line comes out with what was made of it.
 *
 * <p>Lines are written in their order as soon as all before them are done, so that a run that ends early keeps them; on
 * Ctrl-C those that are done behind one that is not follow.
 */
final class PromptRun {
    private static final ObjectMapper JSON = new ObjectMapper();

    private final GenerateCommand command;
    private final Tokenizer tokenizer;
    private final Llama model;
    private final Set<Integer> ends;
    private final List<Line> lines = new ArrayList<>();
    private int written;
    private boolean begun;
    private int done;
    private long tokens;

    /** Ends the generator on Ctrl-C. */
    private static final class Interrupted extends RuntimeException {
        private static final long serialVersionUID = 1;
    }

    /** A prompt and what has been made of it. */
    private static final class Line {
        final PromptFile.Prompt prompt;
        final TextStream text;
        final List<Integer> made = new ArrayList<>();
        String end;

        Line(PromptFile.Prompt prompt, TextStream text) {
            this.prompt = prompt;
            this.text = text;
        }
    }

    PromptRun(GenerateCommand command, Tokenizer tokenizer, Llama model, Set<Integer> ends) {
        this.command = command;
        this.tokenizer = tokenizer;
        this.model = model;
        this.ends = ends;
    }

    /** Continues them; returns the exit status. */
    int run(ChatTemplate chat) throws IOException {
        List<BatchGenerator.Request> requests = new ArrayList<>();
        for (PromptFile.Prompt prompt : PromptFile.read(command.file, tokenizer, chat)) {
            requests.add(
                    new BatchGenerator.Request(prompt.ids(), command.maxTokens, command.sampling(), adapter(prompt)));
            lines.add(new Line(prompt, new TextStream(all -> tokenizer.decode(all, true), command.stops)));
        }
        Interruption.install();
        long started = System.nanoTime();
        boolean interrupted = false;
        try (Progress progress = new Progress(command.out(), "prompts", lines.size())) {
            new BatchGenerator(model, command.batch, command.cacheTokens).generate(requests, (request, token) -> {
                if (Interruption.requested()) {
                    throw new Interrupted();
                }
                return goesOn(lines.get(request), token, progress, started);
            });
        } catch (Interrupted signal) {
            interrupted = true;
        } finally {
            write(lines.subList(written, lines.size()));
        }
        say(interrupted, (System.nanoTime() - started) * 1e-9);
        return interrupted ? Interruption.STATUS : 0;
    }

    private boolean goesOn(Line line, int token, Progress progress, long started) {
        line.made.add(token);
        tokens++;
        if (ends.contains(token)) {
            line.end = "token";
        } else {
            line.text.add(token);
            if (line.text.stopped()) {
                line.end = "text";
            } else if (line.made.size() == command.maxTokens) {
                line.end = "length";
            }
        }
        if (line.end == null) {
            return true;
        }
        done++;
        int whole = written;
        while (whole < lines.size() && lines.get(whole).end != null) {
            whole++;
        }
        List<Line> next = lines.subList(written, whole);
        written = whole;
        write(next);
        double seconds = (System.nanoTime() - started) * 1e-9;
        progress.update(done, String.format(Locale.ROOT, "%.1f tokens/s", tokens / seconds));
        return false;
    }

    /** Appends those that are done. */
    private void write(List<Line> some) {
        if (some.stream().noneMatch(line -> line.end != null) && !lines.isEmpty()) {
            return;
        }
        // why only now: an older file stays until there is something to replace it.
        try (BufferedWriter results = begun
                ? Files.newBufferedWriter(command.results, StandardOpenOption.APPEND)
                : Files.newBufferedWriter(command.results)) {
            begun = true;
            for (Line line : some) {
                if (line.end != null) {
                    results.write(JSON.writeValueAsString(result(line)));
                    results.write('\n');
                }
            }
        } catch (IOException e) {
            throw new InputException("cannot write " + command.results + ": " + e.getMessage(), e);
        }
    }

    private void say(boolean interrupted, double seconds) {
        if (interrupted) {
            command.out().note("interrupted: %d of %d prompts are done", done, lines.size());
        }
        command.out()
                .say(
                        "%d prompts, %d tokens, %.1f tokens/s; saved in %s",
                        done, tokens, tokens / seconds, command.results);
        command.out()
                .event(
                        interrupted ? "interrupted" : "generated",
                        "prompts",
                        done,
                        "tokens",
                        tokens,
                        "tokens_per_second",
                        tokens / seconds,
                        "results",
                        command.results.toString());
    }

    /** The adapter that a prompt names, which the model must have. */
    private String adapter(PromptFile.Prompt prompt) {
        String name = prompt.adapter();
        List<String> names =
                model.adapter() == null ? List.of() : model.adapter().names();
        if (names.isEmpty()) {
            if (name != null) {
                throw new FormatException(
                        prompt.where(), "names the adapter " + name + ", but there are not several --adapter");
            }
            return null;
        }
        if (name == null || !names.contains(name) && !name.equals(LoraSet.BASE)) {
            throw new FormatException(
                    prompt.where(),
                    (name == null ? "names no adapter" : "names the adapter " + name) + "; --adapter are " + names
                            + ", and \"" + LoraSet.BASE + "\" is the model without any");
        }
        return name;
    }

    private static ObjectNode result(Line line) {
        ObjectNode fields = line.prompt.fields();
        ArrayNode ids = JSON.createArrayNode();
        line.made.forEach(ids::add);
        line.text.finish();
        fields.put("text", line.text.text());
        fields.set("tokens", ids);
        return fields.put("end", line.end);
    }
}
