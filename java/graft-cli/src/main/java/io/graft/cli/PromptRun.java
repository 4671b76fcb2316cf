package io.graft.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.graft.io.AtomicFiles;
import io.graft.io.ChatTemplate;
import io.graft.io.FormatException;
import io.graft.io.Tokenizer;
import io.graft.model.BatchGenerator;
import io.graft.model.Llama;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/** The prompts of a file, continued together; each line comes out with what was made of it. */
final class PromptRun {
    private static final ObjectMapper JSON = new ObjectMapper();

    private final GenerateCommand command;
    private final Tokenizer tokenizer;
    private final Llama model;
    private final Set<Integer> ends;

    PromptRun(GenerateCommand command, Tokenizer tokenizer, Llama model, Set<Integer> ends) {
        this.command = command;
        this.tokenizer = tokenizer;
        this.model = model;
        this.ends = ends;
    }

    void run(ChatTemplate chat) throws IOException {
        List<PromptFile.Prompt> prompts = PromptFile.read(command.file, tokenizer, chat);
        List<BatchGenerator.Request> requests = new ArrayList<>();
        List<TextStream> texts = new ArrayList<>();
        List<String> ended = new ArrayList<>();
        for (PromptFile.Prompt prompt : prompts) {
            requests.add(
                    new BatchGenerator.Request(prompt.ids(), command.maxTokens, command.sampling(), adapter(prompt)));
            texts.add(new TextStream(tokens -> tokenizer.decode(tokens, true), command.stops));
            ended.add("length");
        }
        long started = System.nanoTime();

        BatchGenerator generator = new BatchGenerator(model, command.batch, command.cacheTokens);
        List<int[]> made = generator.generate(requests, (request, token) -> {
            if (ends.contains(token)) {
                ended.set(request, "token");
                return false;
            }
            texts.get(request).add(token);
            if (texts.get(request).stopped()) {
                ended.set(request, "text");
                return false;
            }
            return true;
        });
        StringBuilder lines = new StringBuilder();
        long tokens = 0;
        for (int i = 0; i < prompts.size(); i++) {
            tokens += made.get(i).length;
            texts.get(i).finish();
            lines.append(JSON.writeValueAsString(result(prompts.get(i), texts.get(i), made.get(i), ended.get(i))))
                    .append('\n');
        }
        AtomicFiles.write(command.results, lines.toString());
        double seconds = (System.nanoTime() - started) * 1e-9;
        command.out()
                .say(
                        "%d prompts, %d tokens, %.1f tokens/s; saved in %s",
                        prompts.size(), tokens, tokens / seconds, command.results);
        command.out()
                .event(
                        "generated",
                        "prompts",
                        prompts.size(),
                        "tokens",
                        tokens,
                        "tokens_per_second",
                        tokens / seconds,
                        "results",
                        command.results.toString());
    }

    private String adapter(PromptFile.Prompt prompt) {
        if (model.adapter() == null || model.adapter().names().isEmpty()) {
            if (prompt.adapter() != null) {
                throw new FormatException(
                        command.file,
                        "names the adapter " + prompt.adapter() + ", but there are not several --adapter");
            }
            return null;
        }
        return prompt.adapter();
    }

    private static ObjectNode result(PromptFile.Prompt prompt, TextStream text, int[] made, String end) {
        ObjectNode fields = prompt.fields();
        ArrayNode ids = JSON.createArrayNode();
        for (int id : made) {
            ids.add(id);
        }
        fields.put("text", text.text());
        fields.set("tokens", ids);
        return fields.put("end", end);
    }
}
