package io.graft.cli;

import io.graft.binding.GraftDeviceException;
import io.graft.binding.Native;
import io.graft.io.Checkpoint;
import io.graft.io.LlamaConfig;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Device;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code graft info}: the machine and the library, and with {@code --model} what is in a model's folder. */
@Command(name = "info", description = "Show the machine, the library, and what a model is.")
final class InfoCommand extends GraftCommand {
    @Option(names = "--model", paramLabel = "DIR", description = "Also describe the model of this folder.")
    Path model;

    @Override
    protected int execute() throws IOException {
        machine();
        if (model != null) {
            model();
        }
        return 0;
    }

    private void machine() throws IOException {
        int used;
        try (Context context = openContext()) {
            used = context.threads();
        }
        String library = Native.graft_version().getString();
        String java = System.getProperty("java.vm.name") + " " + System.getProperty("java.version");
        Set<String> instructions = Machine.instructionSets();
        out().say("graft      %s, native library %s", Version.read(), library);
        out().say("java       %s", java);
        out().say(
                        "processor  %s, %d cores, %s",
                        Machine.processor(), Machine.processors(), String.join(" ", instructions));
        out().say("memory     %s", Units.bytes(Machine.totalMemory()));
        List<Device> gpus = List.of();
        String missing = null;
        try {
            gpus = Device.gpus();
        } catch (GraftDeviceException none) {
            missing = none.getMessage();
        }
        out().say("devices    cpu (%d threads)", used);
        for (Device gpu : gpus) {
            Device.Properties of = gpu.properties();
            out().say("           %s (%s, %s)", gpu, of.name(), Units.bytes(of.memoryBytes()));
        }
        if (missing != null) {
            out().say("           no cuda: %s", missing);
        }
        out().say("methods    %s", Method.names());
        out().event(
                        "machine",
                        "version",
                        Version.read(),
                        "library",
                        library,
                        "java",
                        java,
                        "processor",
                        Machine.processor(),
                        "cores",
                        Machine.processors(),
                        "instruction_sets",
                        instructions,
                        "memory_bytes",
                        Machine.totalMemory(),
                        "devices",
                        Stream.concat(Stream.of(Device.CPU), gpus.stream())
                                .map(Device::toString)
                                .toList(),
                        "threads",
                        used,
                        "methods",
                        Method.all().stream().map(Method::name).toList());
    }

    private void model() {
        LlamaConfig config = LlamaConfig.read(existingFolder("--model", model));
        try (Checkpoint checkpoint = Checkpoint.open(model)) {
            long parameters = config.parameters();
            long bytes = 0;
            int tensors = 0;
            Map<String, Long> unused = new TreeMap<>();
            Set<DType> dtypes = EnumSet.noneOf(DType.class);
            for (String name : checkpoint.names()) {
                long elements = Arrays.stream(checkpoint.shape(name)).reduce(1, Math::multiplyExact);
                String part = config.design().architecture().unusedPart(name);
                if (part != null) {
                    unused.merge(part, elements, Long::sum);
                    continue;
                }
                DType dtype = checkpoint.dtype(name);
                tensors++;
                bytes += elements * dtype.bytes();
                dtypes.add(dtype);
            }
            String types = dtypes.stream()
                    .map(dtype -> dtype.name().toLowerCase(Locale.ROOT))
                    .collect(Collectors.joining(", "));
            out().say("");
            out().say("model      %s", model);
            out().say(
                            "shape      %d layers, hidden %d, intermediate %d, %d heads, %d key-value heads, vocabulary %d%s",
                            config.layers(),
                            config.hiddenSize(),
                            config.intermediateSize(),
                            config.heads(),
                            config.kvHeads(),
                            config.vocabularySize(),
                            config.tiedEmbeddings() ? ", tied" : "");
            out().say(
                            "parameters %s in %d tensors, %s, %s",
                            Units.count(parameters), tensors, types, Units.bytes(bytes));
            unused.forEach((part, elements) -> out().say("not used   %s, %s parameters", part, Units.count(elements)));
            out().event(
                            "model",
                            "path",
                            model.toString(),
                            "layers",
                            config.layers(),
                            "hidden_size",
                            config.hiddenSize(),
                            "intermediate_size",
                            config.intermediateSize(),
                            "heads",
                            config.heads(),
                            "kv_heads",
                            config.kvHeads(),
                            "vocabulary_size",
                            config.vocabularySize(),
                            "tied",
                            config.tiedEmbeddings(),
                            "parameters",
                            parameters,
                            "tensors",
                            tensors,
                            "unused",
                            List.copyOf(unused.keySet()),
                            "dtype",
                            types,
                            "bytes",
                            bytes,
                            "files",
                            checkpoint.files());
        }
    }
}
