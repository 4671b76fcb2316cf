package io.graft.io;

import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Set;

/**
 * The weights of a model's directory: {@code model.safetensors}, or the shards that
 * {@code model.safetensors.index.json} names. Tensors have the names of their modules, also where files have older ones.
 *
 * <p>Opening checks that every shard exists and holds what the index says it does.
 */
public final class Checkpoint implements TensorSource {
    private final Path directory;
    private final Map<String, SafetensorsFile> shards;
    private final CheckpointNames naming;
    private final Map<String, SafetensorsFile> byTensor = new LinkedHashMap<>();

    private Checkpoint(Path directory, Map<String, SafetensorsFile> shards, Map<String, SafetensorsFile> stored) {
        this.directory = directory;
        this.shards = shards;
        this.naming = CheckpointNames.of(stored.keySet());
        stored.forEach((name, file) -> {
            if (byTensor.put(naming.module(name), file) != null) {
                throw new FormatException(directory, "tensor '" + naming.module(name) + "' is there under two names");
            }
        });
    }

    /**
     * Opens the weights of {@code directory}. Where it has both forms the single file counts, as for transformers.
     *
     * @throws FormatException if there are none, or the index and its shards contradict each other
     */
    public static Checkpoint open(Path directory) {
        Map<String, SafetensorsFile> shards = new LinkedHashMap<>();
        TensorTransfer transfer = TensorTransfer.ofFile();
        try {
            Map<String, SafetensorsFile> byTensor = new LinkedHashMap<>();
            if (Files.exists(directory.resolve(ShardIndex.SINGLE))) {
                SafetensorsFile file = SafetensorsFile.open(directory.resolve(ShardIndex.SINGLE), transfer);
                shards.put(ShardIndex.SINGLE, file);
                file.names().forEach(name -> byTensor.put(name, file));
            } else if (Files.exists(directory.resolve(ShardIndex.FILE))) {
                openShards(directory.resolve(ShardIndex.FILE), transfer, shards, byTensor);
            } else {
                throw new FormatException(directory, "holds neither " + ShardIndex.SINGLE + " nor " + ShardIndex.FILE);
            }
            return new Checkpoint(directory, shards, byTensor);
        } catch (RuntimeException e) {
            shards.values().forEach(SafetensorsFile::close);
            throw e;
        }
    }

    private static void openShards(
            Path index,
            TensorTransfer transfer,
            Map<String, SafetensorsFile> shards,
            Map<String, SafetensorsFile> byTensor) {
        JsonFields weightMap = new JsonFields(index.toString(), Json.readObject(index)).child("weight_map");
        if (weightMap == null) {
            throw new FormatException(index, "field 'weight_map' is missing");
        }
        for (String tensor : weightMap.names()) {
            String shard = weightMap.text(tensor);
            SafetensorsFile file = shards.get(shard);
            if (file == null) {
                file = SafetensorsFile.open(shardPath(index, tensor, shard), transfer);
                shards.put(shard, file);
            }
            if (!file.contains(tensor)) {
                throw new FormatException(index, "tensor '" + tensor + "' is not in its shard " + shard);
            }
            byTensor.put(tensor, file);
        }
    }

    /** why: an index is data from elsewhere; a shard called ../x or /x would read outside the directory. */
    private static Path shardPath(Path index, String tensor, String shard) {
        boolean plain = !shard.isEmpty() && !shard.contains("/") && !shard.contains("\\") && !shard.startsWith(".");
        if (!plain || shard.indexOf('\0') >= 0) {
            throw new FormatException(
                    index, "tensor '" + tensor + "' names the shard '" + shard + "', which is not a plain file name");
        }
        return index.resolveSibling(shard);
    }

    /** The directory that was opened. */
    public Path directory() {
        return directory;
    }

    /** The names of the files that hold the weights. */
    public Set<String> files() {
        return new LinkedHashSet<>(shards.keySet());
    }

    /** What the files call a tensor of this name: usually so too. */
    public String stored(String name) {
        return naming.stored(name);
    }

    @Override
    public Set<String> names() {
        return Collections.unmodifiableSet(byTensor.keySet());
    }

    @Override
    public DType dtype(String name) {
        return holder(name).dtype(stored(name));
    }

    @Override
    public long[] shape(String name) {
        return holder(name).shape(stored(name));
    }

    /** How the files hold a tensor, also of a type that Graft does not read; under the name of its module. */
    public StoredTensor entry(String name) {
        StoredTensor stored = holder(name).stored(stored(name));
        return new StoredTensor(name, stored.type(), stored.shape());
    }

    /** What the files have for a tensor of any type: U8 [{@link StoredTensor#bytes}]. */
    public Tensor bytes(String name, Scope scope) {
        Tensor bytes = scope.tensor(Memory.WORKSPACE, DType.U8, entry(name).bytes());
        holder(name).readBytes(stored(name), bytes);
        return bytes;
    }

    @Override
    public Map<String, String> metadata() {
        return shards.values().stream()
                .map(SafetensorsFile::metadata)
                .filter(metadata -> !metadata.isEmpty())
                .findFirst()
                .orElse(Map.of());
    }

    @Override
    public void read(String name, Tensor into) {
        holder(name).read(stored(name), into);
    }

    @Override
    public void close() {
        shards.values().forEach(SafetensorsFile::close);
    }

    @Override
    public String toString() {
        return "Checkpoint[" + directory + ", " + names().size() + " tensors in " + shards.size() + " files]";
    }

    private SafetensorsFile holder(String name) {
        SafetensorsFile file = byTensor.get(name);
        if (file == null) {
            throw new SafetensorsException(directory.toString(), "no tensor '" + name + "'");
        }
        return file;
    }
}
