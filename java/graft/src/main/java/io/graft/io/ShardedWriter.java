package io.graft.io;

import io.graft.tensor.Tensor;
import io.graft.tensor.WeightForm;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Writes a model's directory one file after the other, so that never more than one file's tensors are in memory, and that
 * those which are whole stay when the writer ends early. The index and {@code config.json}, without which a directory is
 * no model, come last.
 */
public final class ShardedWriter {
    private final Path directory;
    private final int shards;

    /** @param shards how many files there will be, numbered from 0 */
    public ShardedWriter(Path directory, int shards) {
        this.directory = directory;
        this.shards = shards;
    }

    /** Where a file is, or will be. */
    public Path path(int shard) {
        return directory.resolve(ShardIndex.name(shard, shards));
    }

    /** Whether the file is there: it then is whole. */
    public boolean has(int shard) {
        return Files.exists(path(shard));
    }

    /** Writes a file, in place of an older one. */
    public void write(int shard, Map<String, Tensor> tensors) {
        write(shard, tensors, List.of());
    }

    /** @param carried see {@link SafetensorsWriter#write(Path, Map, List, Map)} */
    public void write(int shard, Map<String, Tensor> tensors, List<StoredTensor> carried) {
        SafetensorsWriter.write(path(shard), tensors, carried, SafetensorsWriter.PYTORCH);
    }

    /** Writes index and configuration; every file must be there. */
    public void finish(LlamaConfig config, WeightForm form) {
        Map<String, String> files = new LinkedHashMap<>();
        long bytes = 0;
        for (int shard = 0; shard < shards; shard++) {
            try (SafetensorsFile file = SafetensorsFile.open(path(shard))) {
                for (String name : file.names()) {
                    files.put(name, path(shard).getFileName().toString());
                    bytes += file.stored(name).bytes();
                }
            }
        }
        ShardIndex.write(directory, files, bytes);
        AtomicFiles.write(directory.resolve("config.json"), config.toJson(form));
    }
}
