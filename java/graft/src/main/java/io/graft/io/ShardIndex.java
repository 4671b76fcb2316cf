package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Map;

/** How a checkpoint of several files names them, and the index that says which of them holds what. */
final class ShardIndex {
    static final String SINGLE = "model.safetensors";
    static final String FILE = "model.safetensors.index.json";

    private ShardIndex() {}

    /** The name of a file, numbered from 0. */
    static String name(int shard, int shards) {
        return shards == 1 ? SINGLE : String.format(Locale.ROOT, "model-%05d-of-%05d.safetensors", shard + 1, shards);
    }

    /**
     * Writes the index.
     *
     * @param files the file of each tensor
     * @param bytes of all tensors together
     */
    static void write(Path directory, Map<String, String> files, long bytes) {
        ObjectNode index = Json.newObject();
        index.putObject("metadata").put("total_size", bytes);
        index.set("weight_map", Json.toNode(files));
        AtomicFiles.write(directory.resolve(FILE), PythonJson.write(index));
    }
}
