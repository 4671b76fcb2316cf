package io.graft.cli;

import io.graft.io.Checkpoint;
import io.graft.io.CodedWeights;
import io.graft.tensor.Weight;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.stream.Stream;

/** A model's folder: how it holds weights, and the small files that go with them. */
final class ModelFiles {
    private static final List<String> TOKENIZER = List.of(
            "tokenizer.json",
            "tokenizer_config.json",
            "tokenizer.model",
            "vocab.json",
            "merges.txt",
            "added_tokens.json",
            "special_tokens_map.json",
            "chat_template.jinja",
            "chat_template.json",
            "processor_config.json",
            "preprocessor_config.json",
            "generation_config.json");

    private ModelFiles() {}

    /** How a folder's files hold the linear layers. */
    static Weight.Kind stored(Path folder) {
        try (Checkpoint checkpoint = Checkpoint.open(folder)) {
            return CodedWeights.kind(checkpoint);
        }
    }

    /** The bytes of a folder's weights. */
    static long weightBytes(Path folder) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.filter(file -> file.toString().endsWith(".safetensors"))
                    .mapToLong(file -> file.toFile().length())
                    .sum();
        }
    }

    /** Copies the files that there are of tokenizer and image processor, so that the saved model can be used by itself. */
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
