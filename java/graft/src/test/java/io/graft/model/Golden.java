package io.graft.model;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.graft.io.Checkpoint;
import io.graft.io.LlamaConfig;
import io.graft.io.SafetensorsFile;
import io.graft.io.TensorSource;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URISyntaxException;
import java.nio.file.Path;

/** Expected results of the reference implementations (transformers, PEFT, PyTorch) on tiny models, and how to compare. */
public final class Golden {
    private Golden() {}

    public static Path root() {
        try {
            return Path.of(Golden.class.getResource("/fixtures").toURI());
        } catch (URISyntaxException e) {
            throw new IllegalStateException(e);
        }
    }

    public static Path model(String name) {
        return root().resolve("models").resolve(name);
    }

    public static Path adapter(String model, String method) {
        return root().resolve("adapters").resolve(model).resolve(method);
    }

    public static Path file(String model, String name) {
        return root().resolve("cases").resolve(model).resolve(name);
    }

    public static SafetensorsFile tensors(String model, String name) {
        return SafetensorsFile.open(file(model, name + ".safetensors"));
    }

    public static JsonNode json(String model, String name) {
        try {
            return new ObjectMapper().readTree(file(model, name + ".json").toFile());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    public static Llama load(Scope scope, String model, Llama.Options options) {
        return load(scope, model, DType.F32, options);
    }

    public static Llama load(Scope scope, String model, DType dtype, Llama.Options options) {
        try (Checkpoint checkpoint = Checkpoint.open(model(model))) {
            return Llama.load(scope, checkpoint, LlamaConfig.read(model(model)), dtype, options);
        }
    }

    public static Batch batch(Scope scope, TensorSource source) {
        long[] shape = source.shape("input_ids");
        return Batch.of(
                (int) shape[0],
                (int) shape[1],
                ints(scope, source, "input_ids"),
                ints(scope, source, "attention_mask"),
                ints(scope, source, "labels"));
    }

    private static int[] ints(Scope parent, TensorSource source, String name) {
        try (Scope scope = parent.scope()) {
            Tensor tensor = scope.tensor(Memory.ACTIVATION, DType.I64, source.shape(name));
            source.read(name, tensor);
            long[] values = tensor.longs();
            int[] result = new int[values.length];
            for (int i = 0; i < result.length; i++) {
                result[i] = Math.toIntExact(values[i]);
            }
            return result;
        }
    }

    public static float[] floats(Scope parent, TensorSource source, String name) {
        try (Scope scope = parent.scope()) {
            Tensor tensor = scope.tensor(Memory.ACTIVATION, DType.F32, source.shape(name));
            source.read(name, tensor);
            return tensor.floats();
        }
    }

    /** Largest difference over largest expected magnitude. */
    public static double relativeError(float[] actual, float[] expected) {
        assertThat(actual).hasSameSizeAs(expected);
        double difference = 0;
        double magnitude = 0;
        for (int i = 0; i < expected.length; i++) {
            assertThat(actual[i]).isFinite();
            difference = Math.max(difference, Math.abs((double) actual[i] - expected[i]));
            magnitude = Math.max(magnitude, Math.abs(expected[i]));
        }
        return magnitude == 0 ? difference : difference / magnitude;
    }

    public static void assertClose(String what, float[] actual, float[] expected, double tolerance) {
        assertThat(relativeError(actual, expected)).as(what).isLessThanOrEqualTo(tolerance);
    }
}
