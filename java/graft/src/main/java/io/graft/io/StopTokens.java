package io.graft.io;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.TreeSet;

/**
 * The tokens that end a generation: {@code eos_token_id} of a model's {@code generation_config.json}, a number or a list, or,
 * where that file or field is absent, of its {@code config.json}, as transformers takes them.
 */
public final class StopTokens {
    private static final String FILE = "generation_config.json";
    private static final String FIELD = "eos_token_id";

    private StopTokens() {}

    /** Reads them; empty where a model has none. */
    public static Set<Integer> read(Path directory, LlamaConfig config) {
        Path file = directory.resolve(FILE);
        JsonFields fields = Files.exists(file) ? new JsonFields(file.toString(), Json.readObject(file)) : null;
        if (fields == null || !fields.has(FIELD)) {
            return Set.copyOf(config.eosIds());
        }
        Set<Integer> ids = new TreeSet<>();
        JsonNode node = fields.node(FIELD);
        for (JsonNode id : node.isArray() ? node : Json.newArray().add(node)) {
            if (!id.isIntegralNumber() || id.longValue() < 0 || id.longValue() >= config.vocabularySize()) {
                throw fields.refuse(
                        FIELD, "holds " + id + ", which is none of the " + config.vocabularySize() + " tokens");
            }
            ids.add(id.intValue());
        }
        return ids;
    }
}
