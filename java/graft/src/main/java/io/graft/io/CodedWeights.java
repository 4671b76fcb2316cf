package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.graft.ops.Nf4;
import io.graft.ops.Sketch;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import io.graft.tensor.WeightForm;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/**
 * Linear layers that a checkpoint holds as codes. NF4 has the names and bytes of bitsandbytes:
 *
 * <pre>
 * M.weight                                   U8 [N·K/2, 1]
 * M.weight.absmax                            U8 (F32 unless double quantised) [N·K/64]
 * M.weight.nested_absmax                     F32, double quantised
 * M.weight.quant_map, .nested_quant_map      F32 [16], [256]: levels and the map of scales
 * M.weight.quant_state.bitsandbytes__nf4     U8: JSON with shape, block sizes and nested_offset
 * </pre>
 *
 * A sketch has a table and codes, which are bytes of graft/weight.h; the codes of LeanQuant and SketchTune, nibbles of
 * whatever bits, are read too:
 *
 * <pre>
 * M.quant_grid                               F32 [N, groups, 2^bits]   (any float, also [N, 2^bits], is read)
 * M.sketch_codes                             U8 [N, groups, ⌈K/groups/64⌉, 8·bits]
 * M.weight_codes                             U8 [N, K/2] or [N, groups, K/groups/2]: instead, read only
 * </pre>
 */
public final class CodedWeights {
    private static final String GRID = ".quant_grid";
    private static final String CODES = ".sketch_codes";
    private static final String NIBBLES = ".weight_codes";
    private static final String STATE = ".weight.quant_state.bitsandbytes__nf4";
    private static final String ABSMAX = ".weight.absmax";
    private static final String NESTED_ABSMAX = ".weight.nested_absmax";
    private static final String LEVELS = ".weight.quant_map";
    private static final String SCALES = ".weight.nested_quant_map";

    /** What the state of a layer takes, padded with spaces: files can be laid out before it is known. */
    private static final int STATE_BYTES = 256;

    private static final long BLOCK = 64;
    private static final long NESTED_BLOCK = 256;

    private CodedWeights() {}

    /** How a checkpoint holds its linear layers: as codes where one of its tensors belongs to codes. */
    public static Weight.Kind kind(TensorSource source) {
        for (String name : source.names()) {
            for (String end : new String[] {STATE, GRID}) {
                if (name.endsWith(end)) {
                    return form(source, name.substring(0, name.length() - end.length()))
                            .kind();
                }
            }
        }
        return Weight.Kind.DENSE;
    }

    /** How the source holds the weight of a module: dense unless its tensors say otherwise. */
    public static WeightForm form(TensorSource source, String module) {
        if (source.contains(module + STATE)) {
            return new WeightForm(Weight.Kind.NF4, source.contains(module + NESTED_ABSMAX), 0, 0);
        }
        if (source.contains(module + GRID)) {
            long[] shape = source.shape(module + GRID);
            long entries = shape[shape.length - 1];
            boolean sizes = shape.length == 2 || shape.length == 3;
            if (!sizes || (entries != 16 && entries != 8 && entries != 4)) {
                throw new SafetensorsException(
                        source.toString(),
                        "tensor '" + module + GRID + "' has the shape " + Arrays.toString(shape)
                                + ", expected [N, groups, 16, 8 or 4]");
            }
            return new WeightForm(Weight.Kind.SKETCH, false, shape.length == 2 ? 1 : (int) shape[1], (int) entries);
        }
        return WeightForm.DENSE;
    }

    /** Fills a weight of the form that the source has; table: a sketch's, else null. */
    public static void read(TensorSource source, String module, Weight weight, Tensor table) {
        if (weight.kind() == Weight.Kind.NF4) {
            readNf4(source, module, weight);
            return;
        }
        String grid = module + GRID;
        source.read(grid, source.shape(grid).length == 2 ? table.reshape(table.size(0), table.size(2)) : table);
        if (source.contains(module + CODES)) {
            source.read(module + CODES, weight.codes());
            return;
        }
        long pairs = weight.k() / 2;
        long groups = table.size(1);
        try (Scope staging = table.scope().scope()) {
            String name = module + NIBBLES;
            Tensor nibbles = staging.tensor(Memory.WORKSPACE, DType.U8, weight.n(), groups, pairs / groups);
            boolean flat = source.shape(name).length == 2;
            source.read(
                    name,
                    flat ? staging.view(nibbles, 0, new long[] {weight.n(), pairs}, new long[] {pairs, 1}) : nibbles);
            Sketch.pack(staging.context(), nibbles, weight);
        }
    }

    private static void readNf4(TensorSource source, String module, Weight weight) {
        Tensor codes = weight.codes();
        try (Scope staging = codes.scope().scope();
                Scope host = codes.scope().context().host().scope()) {
            Tensor json = host.tensor(Memory.WORKSPACE, DType.U8, source.shape(module + STATE));
            source.read(module + STATE, json);
            byte[] text = new byte[(int) json.elements()];
            json.buffer().get(text);
            JsonFields state = new JsonFields(
                    source + ", " + module + STATE,
                    Json.readObject(module + STATE, new String(text, StandardCharsets.UTF_8)));
            if (!state.text("quant_type").equals("nf4")) {
                throw state.refuse("quant_type", "is '" + state.text("quant_type") + "', supported is 'nf4'");
            }
            expect(state, "blocksize", BLOCK);
            if (!state.integers("shape").equals(List.of((int) weight.n(), (int) weight.k()))) {
                throw state.refuse("shape", "is " + state.node("shape") + ", expected " + weight);
            }
            source.read(
                    module + ".weight", staging.view(codes, 0, new long[] {codes.elements(), 1}, new long[] {1, 1}));
            source.read(module + ABSMAX, weight.absmax());
            if (weight.nested()) {
                expect(state, "nested_blocksize", NESTED_BLOCK);
                source.read(module + NESTED_ABSMAX, weight.nestedAbsmax());
                weight.nestedOffset().set((float) state.number("nested_offset"));
            }
        }
    }

    private static void expect(JsonFields state, String field, long value) {
        if (state.positive(field) != value) {
            throw state.refuse(field, "is " + state.positive(field) + ", supported is " + value);
        }
    }

    /**
     * The tensors under which {@link #read} finds a weight of codes; what has to be made for that lives in the scope.
     *
     * @param table a sketch's, else null
     */
    public static void put(Map<String, Tensor> tensors, Scope scope, String module, Weight weight, Tensor table) {
        if (weight.kind() == Weight.Kind.SKETCH) {
            tensors.put(module + GRID, table);
            tensors.put(module + CODES, weight.codes());
            return;
        }
        Tensor codes = weight.codes();
        tensors.put(module + ".weight", scope.view(codes, 0, new long[] {codes.elements(), 1}, new long[] {1, 1}));
        tensors.put(module + ABSMAX, weight.absmax());
        tensors.put(module + LEVELS, levels(scope));
        ObjectNode state = Json.newObject();
        state.put("quant_type", "nf4").put("blocksize", BLOCK).put("dtype", "bfloat16");
        state.putArray("shape").add(weight.n()).add(weight.k());
        if (weight.nested()) {
            tensors.put(module + NESTED_ABSMAX, weight.nestedAbsmax());
            tensors.put(module + SCALES, scales(scope));
            state.put("nested_blocksize", NESTED_BLOCK).put("nested_dtype", "float32");
            // why as a double: its text then is that of the fp32 value, whole.
            state.put("nested_offset", (double) weight.nestedOffset().item());
        }
        byte[] text = (state + " ".repeat(STATE_BYTES - state.toString().length())).getBytes(StandardCharsets.UTF_8);
        Tensor json = scope.tensor(Memory.WORKSPACE, DType.U8, text.length);
        json.buffer().put(text);
        tensors.put(module + STATE, json);
    }

    /** What {@link #put} will make of an NF4 weight, whatever its codes will be. */
    public static List<StoredTensor> stored(String module, Weight weight) {
        List<StoredTensor> stored = new ArrayList<>();
        stored.add(new StoredTensor(module + ".weight", DType.U8, weight.codes().elements(), 1));
        stored.add(StoredTensor.of(module + ABSMAX, weight.absmax()));
        stored.add(new StoredTensor(module + LEVELS, DType.F32, 16));
        if (weight.nested()) {
            stored.add(StoredTensor.of(module + NESTED_ABSMAX, weight.nestedAbsmax()));
            stored.add(new StoredTensor(module + SCALES, DType.F32, NESTED_BLOCK));
        }
        stored.add(new StoredTensor(module + STATE, DType.U8, STATE_BYTES));
        return stored;
    }

    /** What the sixteen codes decode to. */
    private static Tensor levels(Scope scope) {
        Weight all = scope.nf4(Memory.WORKSPACE, 1, 16, false);
        for (int i = 0; i < 8; i++) {
            all.codes().buffer().put(i, (byte) (2 * i << 4 | 2 * i + 1));
        }
        all.absmax().set(1);
        return decoded(scope, all, 1);
    }

    /** What the 256 codes of scales decode to: each is that of a block whose first element is the level 1. */
    private static Tensor scales(Scope scope) {
        Weight all = scope.nf4(Memory.WORKSPACE, NESTED_BLOCK, BLOCK, true);
        for (int i = 0; i < NESTED_BLOCK; i++) {
            all.codes().buffer().put((int) (i * BLOCK / 2), (byte) 0xf0);
            all.absmax().buffer().put(i, (byte) i);
        }
        all.nestedAbsmax().set(1);
        return decoded(scope, all, BLOCK);
    }

    /** Each step-th element of the matrix that the codes stand for. */
    private static Tensor decoded(Scope scope, Weight weight, long step) {
        Tensor matrix = scope.tensor(Memory.WORKSPACE, DType.F32, weight.n(), weight.k());
        Nf4.dequantize(scope.context(), weight, matrix);
        float[] values = matrix.floats();
        Tensor map = scope.tensor(Memory.WORKSPACE, DType.F32, matrix.elements() / step);
        for (int i = 0; i < map.elements(); i++) {
            map.buffer().putFloat(i * Float.BYTES, values[(int) (i * step)]);
        }
        return map;
    }
}
