package io.graft.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import io.graft.Emulated;
import io.graft.adapter.Adapter;
import io.graft.adapter.Full;
import io.graft.adapter.LoraSet;
import io.graft.binding.GraftDeviceException;
import io.graft.binding.GraftUnsupportedException;
import io.graft.io.SafetensorsFile;
import io.graft.model.Batch;
import io.graft.model.Generator;
import io.graft.model.Golden;
import io.graft.model.Llama;
import io.graft.nn.Parameter;
import io.graft.ops.SketchCompress;
import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Device;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.DoubleStream;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The model layer and the trainer on CUDA devices: what they give on the CPU, within what rounding takes. */
@Emulated
class CudaTest {
    private static final double LOGITS = 2e-5;
    private static final double GRADIENTS = 1e-4;

    private static Context cuda() {
        return Context.on(Device.cuda(0));
    }

    /** The second one in the emulator. */
    private static Device last() {
        List<Device> gpus = Device.gpus();
        return gpus.get(gpus.size() - 1);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "llama_gqa",
                "mistral",
                "qwen3",
                "phi3",
                "starcoder2",
                "gpt_bigcode",
                "codegen",
                "glm4",
                "gemma3_multimodal"
            })
    void logitsAndGradientsEqualTransformers(String name) {
        try (Context context = cuda();
                Scope scope = context.scope();
                SafetensorsFile expected = Golden.tensors(name, "base");
                Llama model = Golden.load(scope, name, Llama.Options.training(new Full()))) {
            Batch batch = Golden.batch(scope, expected);
            Golden.assertClose("logits", model.logits(batch), Golden.floats(scope, expected, "logits"), LOGITS);
            float loss = Golden.floats(scope, expected, "loss")[0];
            assertThat(model.lossAndGradients(batch)).isCloseTo(loss, Offset.offset(1e-5f * loss));
            assertThat(context.lastDispatch()).contains(":cuda/");
            for (Parameter parameter : model.trainable()) {
                float[] gradient = Golden.floats(scope, expected, "grad." + parameter.name());
                Golden.assertClose(parameter.name(), parameter.gradient().floats(), gradient, GRADIENTS);
            }
        }
    }

    /** Losses, norms and final masters of four steps of two batches each, with dropout, warm-up and clipping. */
    private static double[] steps(Device device, DType dtype, Weight.Kind base, boolean checkpointing) {
        Llama.Options options =
                Llama.Options.training(TrainerTest.LORA.get()).withBase(base).withGradientCheckpointing(checkpointing);
        try (Context context = Context.on(device);
                Scope scope = context.scope();
                Llama model = Golden.load(scope, "llama_gqa", dtype, options);
                Trainer trainer =
                        new Trainer(model, TrainerTest.options(4).withAccumulation(2), TrainerTest.source(2))) {
            DoubleStream.Builder all = DoubleStream.builder();
            trainer.onStep((step, loss, rate, norm, speed) -> all.add(loss).add(norm))
                    .run();
            model.trainable()
                    .forEach(parameter ->
                            DoubleStream.of(parameter.master().doubles()).forEach(all));
            return all.build().toArray();
        }
    }

    @ParameterizedTest
    @CsvSource({"F32, DENSE, true", "BF16, DENSE, false", "F32, NF4, false"})
    void loraStepsAreAsNearToFloat64AsThoseOfTheCpu(DType dtype, Weight.Kind base, boolean checkpointing) {
        double[] exact = steps(Device.CPU, DType.F64, base, false);
        double[] cpu = steps(Device.CPU, dtype, base, checkpointing);
        double[] cuda = steps(last(), dtype, base, checkpointing);
        assertThat(distance(cuda, exact)).isLessThanOrEqualTo(2 * distance(cpu, exact));
    }

    private static double distance(double[] values, double[] others) {
        assertThat(values).hasSameSizeAs(others);
        double sum = 0;
        for (int i = 0; i < values.length; i++) {
            sum += (values[i] - others[i]) * (values[i] - others[i]);
        }
        return Math.sqrt(sum);
    }

    @Test
    void aBatchWithSeveralAdaptersEqualsPeft() {
        Map<String, Path> adapters = new LinkedHashMap<>();
        List.of("lora", "lora_rs", "lora_layers")
                .forEach(name -> adapters.put(name, Golden.adapter("llama_gqa", name)));
        LoraSet set = LoraSet.load(adapters);
        try (Context context = cuda();
                Scope scope = context.scope();
                SafetensorsFile expected = Golden.tensors("llama_gqa", "mixed_batch");
                Llama model = Golden.load(scope, "llama_gqa", Llama.Options.training(set))) {
            Batch batch =
                    Golden.batch(scope, expected).withAdapters("lora_rs", "lora", LoraSet.BASE, "lora_layers", "lora");
            float loss = Golden.floats(scope, expected, "loss")[0];
            assertThat(model.lossAndGradients(batch)).isCloseTo(loss, Offset.offset(1e-5f * loss));
            for (Parameter parameter : model.trainable()) {
                String key = "grad." + set.owner(parameter) + "." + set.key(parameter);
                Golden.assertClose(key, parameter.gradient().floats(), Golden.floats(scope, expected, key), GRADIENTS);
            }
        }
    }

    @Test
    void greedyGenerationEqualsTransformers() {
        JsonNode expected = Golden.json("llama_gqa", "greedy");
        int[] prompt = ints(expected.get("prompt"));
        int[] generated = ints(expected.get("generated"));
        try (Context context = cuda();
                Scope scope = context.scope();
                Llama model = Golden.load(scope, "llama_gqa", Llama.Options.inference());
                Generator generator = new Generator(model)) {
            assertThat(generator.greedy(prompt, generated.length)).isEqualTo(generated);
        }
    }

    private static int[] ints(JsonNode array) {
        int[] values = new int[array.size()];
        for (int i = 0; i < values.length; i++) {
            values[i] = array.get(i).asInt();
        }
        return values;
    }

    @Test
    void aPlanCountsWhatARunTakes() {
        try (Context run = cuda();
                Context plan = Context.planning(Device.cuda(0), 1)) {
            for (Context context : List.of(run, plan)) {
                part(context.scope(), false, 1, null, null);
            }
            for (Memory memory : Memory.values()) {
                // why: of products' scratch a plan knows no more than the most that there can be.
                if (memory == Memory.WORKSPACE) {
                    assertThat(run.peakMemory(memory)).isBetween(1L, plan.peakMemory(memory));
                } else {
                    assertThat(run.peakMemory(memory)).as(memory.name()).isPositive();
                    assertThat(plan.peakMemory(memory)).as(memory.name()).isEqualTo(run.peakMemory(memory));
                }
            }
        }
    }

    @Test
    void valuesGoToTheDeviceAndBack() {
        try (Context context = cuda();
                Scope scope = context.scope()) {
            Tensor all = scope.tensor(Memory.BASE, DType.BF16, 3, 5);
            Tensor part = all.columns(1, 3);
            part.set(1, 2, 3, 4, 5, 1.00390625f);
            assertThat(part.floats()).containsExactly(1, 2, 3, 4, 5, 1);
            assertThat(all.doubles()).containsExactly(0, 1, 2, 0, 0, 0, 3, 4, 0, 0, 0, 5, 1, 0, 0);
            Tensor ids = scope.tensor(Memory.BASE, DType.I64, 2).set(new long[] {7, -1});
            assertThat(ids.ints()).containsExactly(7, -1);
            Tensor host = context.host().scope().tensor(Memory.BASE, DType.F32, 3, 2);
            part.download(host);
            assertThat(host.floats()).containsExactly(1, 2, 3, 4, 5, 1);
            assertThatThrownBy(() -> all.upload(host)).hasMessageContaining("different shapes");
            assertThatThrownBy(all::buffer)
                    .hasMessageContaining("cuda:0")
                    .isInstanceOf(UnsupportedOperationException.class);
        }
    }

    @Test
    void devicesDoNotMix() {
        try (Context cpu = Context.cpu(1);
                Context first = cuda();
                Context second = Context.on(last());
                Scope scope = first.scope()) {
            Tensor here = scope.tensor(Memory.BASE, DType.F32, 2);
            for (Context other : List.of(cpu, second)) {
                Tensor there = other.scope().tensor(Memory.BASE, DType.F32, 2);
                assertThatThrownBy(() -> TensorOps.copy(first, there, here)).hasMessageContaining("another context");
                assertThatThrownBy(() -> here.upload(there)).hasMessageContaining("another context");
            }
            assertThat(first).hasToString("Context cuda:0");
        }
    }

    @Test
    void workGoesIntoTheDefaultStream() {
        try (Context context = Context.inStream(Device.cuda(0), 0);
                Scope scope = context.scope()) {
            Tensor x = scope.tensor(Memory.ACTIVATION, DType.F32, 2).set(1, 2);
            Tensor y = scope.tensor(Memory.ACTIVATION, DType.F32, 2).set(3, 4);
            TensorOps.add(context, x, y);
            assertThat(y.floats()).containsExactly(4, 6);
        }
    }

    @Test
    void aDeviceThatIsNotThereIsRefused() {
        assertThat(Device.gpus()).startsWith(Device.cuda(0)).doesNotContain(Device.cuda(9));
        assertThat(last().properties().name()).isNotBlank();
        assertThat(last().properties().memoryBytes()).isPositive();
        assertThatThrownBy(() -> Context.on(Device.cuda(9)))
                .isInstanceOf(GraftDeviceException.class)
                .hasMessageContaining("CUDA device 9 is asked for, there");
    }

    @Test
    void anOpThatTheDeviceLacksIsNamed() {
        try (Context context = cuda();
                Scope scope = context.scope()) {
            Tensor h = scope.tensor(Memory.BASE, DType.F32, 4, 4);
            Tensor r = scope.tensor(Memory.BASE, DType.F32, 4, 4);
            Tensor order = scope.tensor(Memory.BASE, DType.I32, 4);
            assertThatThrownBy(() -> SketchCompress.factor(context, h, 1, false, order, r))
                    .isInstanceOf(GraftUnsupportedException.class)
                    .hasMessageContaining("graft_sketch_compress_factor")
                    .hasMessageContaining("CUDA");
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void aRunThatResumesIsTheSameRun(boolean full, @TempDir Path directory) {
        Path file = directory.resolve("run.safetensors");
        try (Context context = cuda();
                Scope scope = context.scope()) {
            List<float[]> whole = part(scope, full, 2, null, null);
            part(scope, full, 1, null, file);
            List<float[]> resumed = part(scope, full, 2, file, null);
            for (int i = 0; i < whole.size(); i++) {
                assertThat(resumed.get(i)).isEqualTo(whole.get(i)).doesNotContain(Float.NaN);
            }
        }
    }

    @Test
    void aRunMayGoOnOnAnotherDevice(@TempDir Path directory) {
        Path file = directory.resolve("run.safetensors");
        double[] losses = new double[2];
        for (Device device : List.of(Device.cuda(0), Device.CPU)) {
            try (Context context = Context.on(device);
                    Scope scope = context.scope();
                    Llama model = Golden.load(scope, "llama_gqa", Llama.Options.training(TrainerTest.LORA.get()));
                    Trainer trainer = new Trainer(model, TrainerTest.options(2), TrainerTest.source(2))) {
                if (device.isCpu()) {
                    trainer.resume(file);
                } else {
                    losses[0] = trainer.step();
                    trainer.save(file);
                }
                double second = trainer.step();
                losses[1] = device.isCpu() ? losses[1] : second;
                assertThat(second).isCloseTo(losses[1], Offset.offset(1e-5));
            }
        }
        assertThat(losses[1]).isNotCloseTo(losses[0], Offset.offset(1e-2));
    }

    private static List<float[]> part(Scope scope, boolean full, long steps, Path from, Path to) {
        Adapter adapter = full ? new Full() : TrainerTest.LORA.get();
        try (Llama model = Golden.load(scope, "llama_gqa", DType.BF16, Llama.Options.training(adapter));
                Trainer trainer = new Trainer(model, TrainerTest.options(steps), TrainerTest.source(2))) {
            if (from != null) {
                trainer.resume(from);
            }
            trainer.run();
            if (to != null) {
                trainer.save(to);
            }
            return model.trainable().stream().map(p -> p.master().floats()).toList();
        }
    }
}
