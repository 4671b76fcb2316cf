package io.graft.adapter;

import io.graft.io.AtomicFiles;
import io.graft.io.PeftConfig;
import io.graft.io.SafetensorsWriter;
import io.graft.tensor.Context;
import io.graft.tensor.Scope;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The average of adapters of one kind, number by number (AdapterSoup, arXiv 2302.07027, section 3). Aligned, the units of
 * each are first brought into the order of the first adapter's that they resemble most (MerA, arXiv 2308.15982): the hidden
 * units of a bottleneck, or the ranks of LoRA, may stand in any order without a change of the layer.
 */
public final class AdapterAverage {
    /** What may be permuted together: rows of the one, columns of the other. */
    private static final Map<String, String> PAIRS =
            Map.of(".lora_A.weight", ".lora_B.weight", ".adapter_down.weight", ".adapter_up.weight");

    private AdapterAverage() {}

    /**
     * Writes the average of adapters whose configurations mean the same.
     *
     * @param weights one for each, divided by their sum
     * @param aligned whether units are brought into one order first: LoRA and bottleneck adapters only
     */
    public static void write(Context context, List<Path> folders, double[] weights, boolean aligned, Path out) {
        double total = Arrays.stream(weights).sum();
        if (folders.isEmpty() || weights.length != folders.size() || !(total > 0)) {
            throw new IllegalArgumentException("AdapterAverage: " + folders.size() + " adapters with the weights "
                    + Arrays.toString(weights) + ", whose sum must be positive");
        }
        Map<String, StoredTensors.Values> first = StoredTensors.read(context, folders.get(0));
        Map<String, double[]> sums = new LinkedHashMap<>();
        for (int i = 0; i < weights.length; i++) {
            Path folder = folders.get(i);
            PeftConfig.expectAlike(folders.get(0), folder);
            Map<String, StoredTensors.Values> tensors = StoredTensors.read(context, folder);
            if (!tensors.keySet().equals(first.keySet())) {
                throw new IllegalArgumentException(folder + ": its tensors are not those of " + folders.get(0));
            }
            if (aligned) {
                align(folder, first, tensors);
            }
            double weight = weights[i] / total;
            tensors.forEach((key, values) -> add(folder, key, first.get(key), values, weight, sums));
        }
        Map<String, StoredTensors.Values> average = new LinkedHashMap<>();
        first.forEach((key, values) -> average.put(
                key,
                values.floats() == null ? values : StoredTensors.Values.of(rounded(sums.get(key)), values.shape())));
        write(context, folders.get(0), average, out);
    }

    private static void add(
            Path folder,
            String key,
            StoredTensors.Values first,
            StoredTensors.Values values,
            double weight,
            Map<String, double[]> sums) {
        if (!values.sameShape(first)) {
            throw new IllegalArgumentException(folder + ": " + key + " is " + Arrays.toString(values.shape())
                    + ", expected " + Arrays.toString(first.shape()));
        }
        if (values.floats() == null) {
            // why: indices say where values belong; other places have no average.
            if (!Arrays.equals(values.integers(), first.integers())) {
                throw new IllegalArgumentException(folder + ": " + key + " selects other places");
            }
            return;
        }
        double[] sum = sums.computeIfAbsent(key, name -> new double[values.floats().length]);
        for (int i = 0; i < sum.length; i++) {
            sum[i] += weight * values.floats()[i];
        }
    }

    private static float[] rounded(double[] values) {
        float[] floats = new float[values.length];
        for (int i = 0; i < floats.length; i++) {
            floats[i] = (float) values[i];
        }
        return floats;
    }

    private static void align(
            Path folder, Map<String, StoredTensors.Values> first, Map<String, StoredTensors.Values> other) {
        int pairs = 0;
        for (String key : List.copyOf(other.keySet())) {
            for (Map.Entry<String, String> pair : PAIRS.entrySet()) {
                if (key.endsWith(pair.getKey())) {
                    String up = key.substring(0, key.length() - pair.getKey().length()) + pair.getValue();
                    align(key, up, first, other);
                    pairs++;
                }
            }
        }
        if (pairs == 0) {
            throw new IllegalArgumentException(folder + ": has no units to align; LoRA and bottleneck adapters have");
        }
    }

    /** Rows of down and columns of up, in the order in which Σ ‖unit − first's unit‖² is least. */
    private static void align(
            String down, String up, Map<String, StoredTensors.Values> first, Map<String, StoredTensors.Values> other) {
        StoredTensors.Values a = other.get(down);
        StoredTensors.Values b = other.get(up);
        int rank = (int) a.shape()[0];
        int k = (int) a.shape()[1];
        int n = (int) b.shape()[0];
        float[] a0 = first.get(down).floats();
        float[] b0 = first.get(up).floats();
        double[][] cost = new double[rank][rank];
        for (int i = 0; i < rank; i++) {
            for (int j = 0; j < rank; j++) {
                double alike = 0;
                for (int c = 0; c < k; c++) {
                    alike += (double) a0[i * k + c] * a.floats()[j * k + c];
                }
                for (int c = 0; c < n; c++) {
                    alike += (double) b0[c * rank + i] * b.floats()[c * rank + j];
                }
                cost[i][j] = -alike;
            }
        }
        int[] order = Assignment.cheapest(cost);
        float[] rows = new float[rank * k];
        float[] columns = new float[n * rank];
        for (int i = 0; i < rank; i++) {
            System.arraycopy(a.floats(), order[i] * k, rows, i * k, k);
            for (int c = 0; c < n; c++) {
                columns[c * rank + i] = b.floats()[c * rank + order[i]];
            }
        }
        other.put(down, StoredTensors.Values.of(rows, a.shape()));
        other.put(up, StoredTensors.Values.of(columns, b.shape()));
    }

    private static void write(Context context, Path source, Map<String, StoredTensors.Values> tensors, Path out) {
        try (Scope scope = context.scope()) {
            Files.createDirectories(out);
            SafetensorsWriter.write(
                    out.resolve(PeftAdapter.FILE), StoredTensors.tensors(scope, tensors), SafetensorsWriter.PYTORCH);
            AtomicFiles.write(out.resolve(PeftConfig.FILE), Files.readAllBytes(source.resolve(PeftConfig.FILE)));
        } catch (IOException e) {
            throw new UncheckedIOException("cannot write " + out + ": " + e.getMessage(), e);
        }
    }
}
