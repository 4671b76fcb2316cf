package io.graft.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;

/** The small files that go with a model's weights. */
final class ModelFiles {
    private static final List<String> TOKENIZER =
            List.of("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "generation_config.json");

    private ModelFiles() {}

    /** Copies the tokenizer's files that there are, so that the saved model can be used by itself. */
    static void copyTokenizer(Path from, Path to) throws IOException {
        for (String name : TOKENIZER) {
            Path file = from.resolve(name);
            Path target = to.resolve(name);
            if (Files.exists(file) && !(Files.exists(target) && Files.isSameFile(file, target))) {
                Files.copy(file, target, StandardCopyOption.REPLACE_EXISTING);
            }
        }
    }
}
