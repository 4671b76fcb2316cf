package io.graft.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import io.graft.io.LlamaConfig;
import io.graft.ops.SketchCompress;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Device;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIf;

/** Commands with {@code --device}, on the emulator's CUDA devices: what they give on the CPU. */
@Tag("emulated")
@EnabledIf(value = "emulated", disabledReason = "only a part of the native side was built")
class CudaTest extends FinetuneRuns {
    static boolean emulated() {
        return Files.exists(Path.of(System.getProperty("java.library.path"), "libgraft.so"))
                || System.getProperty("graft.native.target", "all").equals("all");
    }

    /** why: the emulator makes a fiber of each thread of a kernel. */
    @BeforeEach
    void littleText() throws Exception {
        text = Files.writeString(folder.resolve("little.txt"), "assertEquals(1, list.get(1));\n".repeat(3));
    }

    /** The second one in the emulator. */
    private static Device last() {
        List<Device> gpus = Device.gpus();
        return gpus.get(gpus.size() - 1);
    }

    /** LoRA with its evaluation; then what eval and generate make of it. */
    private List<Object> results(Path out, String device) {
        List<Object> results = new ArrayList<>();
        Object[] trained = {"--model", MODEL, "--adapter", out, "--device", device, "--json"};
        Cli run = Cli.run(
                "finetune",
                "--model",
                MODEL,
                "--data",
                text,
                "--eval-data",
                text,
                "--length",
                16,
                "--batch",
                2,
                "--steps",
                2,
                "--warmup",
                1,
                "--out",
                out,
                "--device",
                device,
                "--json");
        assertThat(run.err()).isEmpty();
        assertThat(run.status()).isZero();
        for (JsonNode step : run.events("step")) {
            results.add(step.get("loss").asDouble());
        }
        results.add(after(run));
        Object[] generate = {"generate", "--prompt", "assertEquals(", "--max-tokens", 4, "--temperature", 0};
        results.add(Cli.run(with(generate, trained))
                .events("generated")
                .get(0)
                .get("text")
                .asText());
        return results;
    }

    @Test
    void finetuneEvalAndGenerateAreThoseOfTheCpu() {
        List<Object> expected = results(folder.resolve("cpu"), "cpu");
        List<Object> actual = results(folder.resolve("cuda"), last().toString());
        for (int i = 0; i < expected.size(); i++) {
            if (expected.get(i) instanceof Double loss) {
                assertThat((Double) actual.get(i)).isCloseTo(loss, within(1e-5 * loss));
            } else {
                assertThat(actual.get(i)).isEqualTo(expected.get(i));
            }
        }
    }

    @Test
    void traceIsThatOfTheCpu() {
        double[] losses = new double[2];
        for (int i = 0; i < 2; i++) {
            Cli run = Cli.run(
                    "trace",
                    "--model",
                    Cli.model("llama_gqa"),
                    "--adapter",
                    Cli.adapter("llama_gqa", "lora"),
                    "--batch",
                    Cli.golden("llama_gqa", "lora.safetensors"),
                    "--out",
                    folder.resolve("trace"),
                    "--gradients",
                    "--steps",
                    1,
                    "--device",
                    i == 0 ? "cpu" : "cuda",
                    "--json");
            assertThat(run.err()).isEmpty();
            losses[i] = run.events("trace").get(0).get("loss").asDouble();
        }
        assertThat(losses[1]).isCloseTo(losses[0], within(1e-5));
    }

    /** One of each way to change a layer, a weight or what goes before them; each trains for a step. */
    @Test
    void methodsAreThoseOfTheCpu() {
        String methods =
                "full,lora-dropout,dora,adalora,propetl,vera,miss,sketchtune,ia3,bitfit,bottleneck,paca,s2ft,rows,"
                        + "prompt,ptuning,prefix,llama-adapter,lst,said,adamix,"
                        + "lokr,loha,oft,boft,hira,glora,compacter,kadaptation,c3a,fourierft,moelora,spt";
        List<Double> expected = losses("cpu", methods);
        List<Double> actual = losses("cuda", methods);
        assertThat(expected).hasSize(methods.split(",").length);
        for (int i = 0; i < expected.size(); i++) {
            assertThat(actual.get(i)).as(methods.split(",")[i]).isCloseTo(expected.get(i), within(2e-5));
        }
    }

    private List<Double> losses(String device, String methods) {
        Cli run = Cli.run(
                "compare",
                "--model",
                MODEL,
                "--data",
                text,
                "--length",
                8,
                "--batch",
                1,
                "--steps",
                1,
                "--methods",
                methods,
                "--out",
                folder.resolve("compare-" + device),
                "--device",
                device,
                "--json");
        assertThat(run.status()).as(run.err()).isZero();
        return run.events("result").stream()
                .map(result -> result.get("validation_loss_after").asDouble())
                .toList();
    }

    @Test
    void infoNamesTheDevices() {
        assertThat(Cli.run("info", "--json")
                        .events("machine")
                        .get(0)
                        .get("devices")
                        .toString())
                .startsWith("[\"cpu\",\"cuda:0\"")
                .endsWith("\"" + last() + "\"]");
        assertThat(Cli.run("info").out())
                .contains(last() + " (" + last().properties().name());
    }

    @Test
    void aDeviceThatIsNotThereIsRefusedBeforeAnythingIsDone() {
        Path out = folder.resolve("out");
        Cli run = finetuneOn(out, "cuda:9");
        assertThat(run.err()).contains("CUDA device 9 is asked for, there");
        assertThat(run.status()).isEqualTo(1);
        assertThat(out).doesNotExist();
        assertThat(finetuneOn(out, "gpu").err()).contains("--device").contains("'gpu' is no device");
    }

    /** why one of its own: what trains has all of its kernels; sketches are calibrated on the host alone. */
    @Test
    void aMethodThatTheDeviceLacksIsRefused() {
        ModelOptions model = new ModelOptions();
        model.folder = MODEL;
        model.device = Device.cuda(0);
        Plan plan = new Plan(model, new MethodOptions(), new OptimizerOptions(), false, 1, 2);
        Method method = new Method("factors", "Factors", null, 1e-3, (options, seed) -> {
            try (Context context = Context.planning(model.device, 1);
                    Scope scope = context.scope()) {
                Tensor h = scope.tensor(Memory.BASE, DType.F32, 4, 4);
                Tensor r = scope.tensor(Memory.BASE, DType.F32, 4, 4);
                SketchCompress.factor(context, h, 1, false, scope.tensor(Memory.BASE, DType.I32, 4), r);
            }
            return null;
        });
        String missing = plan.missing(LlamaConfig.read(MODEL), method);
        assertThat(missing).contains("graft_sketch_compress_factor").contains("on CUDA");
        assertThat(plan.refusal(method, missing)).hasMessage("--method factors does not run on cuda:0: " + missing);
        assertThat(plan.missing(LlamaConfig.read(MODEL), Method.named("boft"))).isNull();
    }

    private Cli finetuneOn(Path out, String device) {
        return Cli.run("finetune", "--model", MODEL, "--data", text, "--out", out, "--device", device);
    }
}
