package io.graft.cli;

import io.graft.binding.GraftDeviceException;
import io.graft.binding.GraftException;
import io.graft.io.LlamaConfig;
import io.graft.model.Llama;
import io.graft.nn.Parameter;
import io.graft.tensor.Context;
import io.graft.tensor.Memory;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.function.Consumer;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/**
 * {@code graft plan}: what a training run will take, before anything is loaded. The run itself is made, two steps of it,
 * on a context that counts memory and computes nothing: there is no second account of what is allocated where.
 */
@Command(
        name = "plan",
        description = {
            "Show the memory that training will take. --model needs no more than a config.json.",
            "",
            "The bytes are those of a run with the same options on a machine like this one, without Java's own. Methods that"
                    + " choose by looking at weights or gradients see zeros here; what is chosen has the same size. Starts of"
                    + " LoRA (pissa, eva, …) are counted as lora, without what making them takes.",
            "",
            "Of several methods one that cannot train so has a row without numbers, and the reason below.",
            "",
            "For the method that takes most, a second table shows what options would save, each planned the same way."
        })
final class PlanCommand extends GraftCommand {
    @Mixin
    ModelOptions model;

    @Option(names = "--batch", paramLabel = "N", description = "Rows of a batch (default: ${DEFAULT-VALUE}).")
    int batch = 4;

    @Option(names = "--length", paramLabel = "N", description = "Tokens of a row (default: ${DEFAULT-VALUE}).")
    int length = 256;

    @Option(
            names = {"--method", "--methods"},
            paramLabel = "NAME",
            split = ",",
            description = "One row of the table each; `graft info` lists all (default: ${DEFAULT-VALUE}).")
    String[] names = {"lora"};

    @Mixin
    MethodOptions methodOptions;

    @Mixin
    OptimizerOptions optimizer;

    @Option(names = "--gradient-checkpointing", description = "Less memory; forward runs once more.")
    boolean checkpointing;

    private final List<String> reasons = new ArrayList<>();

    @Override
    protected int execute() {
        List<Method> methods = check();
        LlamaConfig config = LlamaConfig.read(existingFolder("--model", model.folder));
        TextTable table = new TextTable(columns());
        Method largest = null;
        long most = 0;
        for (Method method : methods) {
            try {
                long peak = peak(config, method, llama -> add(llama, method, table));
                if (peak > most) {
                    largest = method;
                    most = peak;
                }
            } catch (IllegalArgumentException | UnsupportedOperationException | GraftException unfit) {
                if (methods.size() == 1) {
                    throw unfit;
                }
                addReason(method, unfit.getMessage(), table);
            }
        }
        out().say(
                        "%s, %s parameters, %s%s on %s, %d rows of %d tokens; %s",
                        model.folder,
                        Units.count(config.parameters()),
                        model.dtype,
                        model.quantize == Quantization.NONE ? "" : " over " + model.quantize,
                        model.device,
                        batch,
                        length,
                        memory());
        out().say("%s", table.toString().stripTrailing());
        reasons.forEach(reason -> out().say("%s", reason));
        if (largest != null) {
            show(largest, most, Savings.of(words(), largest, most));
        }
        return 0;
    }

    /** The most bytes that the run takes with a method. */
    long peak(Method method) {
        check();
        return peak(LlamaConfig.read(model.folder), method, llama -> {});
    }

    private long peak(LlamaConfig config, Method method, Consumer<Llama> end) {
        methodOptions.withBaseModel(model.folder).withSteps(2);
        Plan plan = new Plan(model, methodOptions, optimizer, checkpointing, batch, length);
        long[] peak = new long[1];
        plan.run(config, method, threads == null ? 0 : threads, llama -> {
            peak[0] = llama.context().peakMemory();
            end.accept(llama);
        });
        return peak[0];
    }

    private void show(Method method, long peak, List<Savings.Saving> savings) {
        if (savings.isEmpty()) {
            return;
        }
        TextTable table = new TextTable(List.of("less memory for " + method.name(), "peak", "of " + Units.bytes(peak)));
        for (Savings.Saving saving : savings) {
            String share = String.format(Locale.ROOT, "%.0f %%", 100.0 * saving.peak() / peak);
            boolean all = savings.size() > 1 && saving == savings.get(savings.size() - 1);
            table.add(List.of(all ? "all of these" : saving.words(), Units.bytes(saving.peak()), share));
            out().event("saving", "method", method.name(), "options", saving.words(), "peak_bytes", saving.peak());
        }
        out().say("");
        out().say("%s", table.toString().stripTrailing());
    }

    /** What there is of it where the run would be. */
    private String memory() {
        if (model.device.isCpu()) {
            return "this machine has " + Units.bytes(Machine.totalMemory());
        }
        try {
            return "it has " + Units.bytes(model.device.properties().memoryBytes());
        } catch (GraftDeviceException absent) {
            return "this machine has no " + model.device;
        }
    }

    private List<Method> check() {
        positive("--batch", batch);
        if (length < 2) {
            throw usage("--length must be at least 2, got " + length);
        }
        optimizer.check(this, 1.0, 1);
        try {
            return Arrays.stream(names)
                    .map(String::strip)
                    .map(Method::named)
                    .distinct()
                    .toList();
        } catch (IllegalArgumentException unknown) {
            throw usage("--method: " + unknown.getMessage());
        }
    }

    private static long trained(Llama llama) {
        return llama.trainable().stream()
                .map(Parameter::value)
                .mapToLong(value -> value.elements())
                .sum();
    }

    private static List<String> columns() {
        List<String> columns = new ArrayList<>(List.of("method", "trained"));
        for (Memory memory : Memory.values()) {
            columns.add(memory.name().toLowerCase(Locale.ROOT));
        }
        columns.add("peak");
        return columns;
    }

    /** A row without numbers; why is said below the table. */
    private void addReason(Method method, String reason, TextTable table) {
        List<String> row = new ArrayList<>(Collections.nCopies(columns().size(), "-"));
        row.set(0, method.name());
        table.add(row);
        reasons.add(method.name() + ": " + reason);
        out().event("unplanned", "method", method.name(), "reason", reason);
    }

    private void add(Llama llama, Method method, TextTable table) {
        Context context = llama.context();
        long trained = trained(llama);
        List<String> row = new ArrayList<>(List.of(method.name(), Units.count(trained)));
        List<Object> event = new ArrayList<>(List.of("method", method.name(), "trained_parameters", trained));
        for (Memory memory : Memory.values()) {
            long bytes = context.memory(memory);
            row.add(Units.bytes(bytes));
            event.add(memory.name().toLowerCase(Locale.ROOT) + "_bytes");
            event.add(bytes);
        }
        row.add(Units.bytes(context.peakMemory()));
        event.add("peak_bytes");
        event.add(context.peakMemory());
        table.add(row);
        out().event("plan", event.toArray());
    }
}
