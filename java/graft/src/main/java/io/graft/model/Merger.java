package io.graft.model;

import io.graft.adapter.Adapter;
import io.graft.io.Checkpoint;
import io.graft.io.CheckpointWriter;
import io.graft.io.CodedWeights;
import io.graft.io.LlamaConfig;
import io.graft.io.StoredTensor;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
import io.graft.ops.Nf4;
import io.graft.ops.Sketch;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import io.graft.tensor.WeightForm;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Supplier;

/**
 * Writes a checkpoint with an adapter folded into its weights, a module at a time: it is read in fp32, from numbers or from
 * codes, merged, and written; beside it nothing of the model is in memory. What one adapter tells all modules together (see
 * {@link Adapter#separable}) needs them all there at once.
 */
public final class Merger {
    /**
     * What is made of the sums.
     *
     * @param dtype of every tensor of numbers; null: as in the checkpoint, what was codes as the embedding
     * @param base the form that dense linear layers had while the adapter was trained, DENSE or NF4: it is put under them
     * @param codes the form in which linear layers are written, DENSE or NF4
     * @param fileBytes the largest file
     */
    public record Options(DType dtype, Weight.Kind base, Weight.Kind codes, long fileBytes) {
        public Options {
            if (base == Weight.Kind.SKETCH || codes == Weight.Kind.SKETCH) {
                throw new IllegalArgumentException("Merger: SKETCH is not supported here; supported are DENSE and NF4");
            }
            if (fileBytes <= 0) {
                throw new IllegalArgumentException("Merger: a file of " + fileBytes + " bytes holds nothing");
            }
        }
    }

    /** Sees each tensor that was written, and how far it is from the exact sum. */
    @FunctionalInterface
    public interface Listener {
        void written(String name, Deviation error);
    }

    /** What was written. */
    public record Result(int files, long parameters, Deviation error) {}

    private final Context context;
    private final Checkpoint checkpoint;
    private final LlamaConfig config;
    private final Supplier<Adapter> adapters;
    private final Options options;
    private final DType plain;
    private Deviation total = Deviation.NONE;
    private Set<String> unread;
    private boolean changed;

    /** @param adapters gives the same frozen adapter each time, not yet attached */
    public Merger(
            Context context, Checkpoint checkpoint, LlamaConfig config, Supplier<Adapter> adapters, Options options) {
        this.context = context;
        this.checkpoint = checkpoint;
        this.config = config;
        this.adapters = adapters;
        this.options = options;
        String table = config.design().architecture().names().embedding() + ".weight";
        this.plain = options.dtype() != null ? options.dtype() : checkpoint.dtype(table);
        if (!adapters.get().mergeable()) {
            throw new UnsupportedOperationException("no weight can hold what "
                    + adapters.get().getClass().getSimpleName() + " does; keep the adapter beside the model");
        }
    }

    /**
     * Writes the model.
     *
     * @param folder an empty directory
     */
    public Result run(Path folder, Listener listener) {
        try (Context planning = Context.planning(1);
                Scope scope = planning.scope()) {
            LlamaLayers plan = new LlamaLayers(scope, config, DType.F32, Llama.Options.inference(), null);
            WeightForm form = options.codes() == Weight.Kind.NF4 ? WeightForm.NF4 : WeightForm.DENSE;
            try (CheckpointWriter out =
                    new CheckpointWriter(folder, stored(scope, plan), options.fileBytes(), checkpoint::stored)) {
                boolean separable = adapters.get().separable();
                List<Object> modules = modules(plan);
                for (List<Object> part : separable ? singly(modules) : List.of(modules)) {
                    merge(plan, part, !separable, out, listener);
                }
                carry(out);
                expectAllUsed();
                out.finish(config.withDtype(plain).toJson(form));
                return new Result(out.files(), plan.size(), total);
            }
        }
    }

    /** Projections, with their biases, and parameters that belong to none, in the order of the checkpoint. */
    private static List<Object> modules(LlamaLayers plan) {
        Map<Parameter, Projection> owners = new HashMap<>();
        for (Projection projection : plan.projections()) {
            owners.put(projection.parameter(), projection);
            owners.put(projection.bias(), null);
        }
        List<Object> modules = new ArrayList<>();
        for (Parameter parameter : plan.parameters()) {
            if (!owners.containsKey(parameter)) {
                modules.add(parameter);
            } else if (owners.get(parameter) != null) {
                modules.add(owners.get(parameter));
            }
        }
        return modules;
    }

    private static List<List<Object>> singly(List<Object> modules) {
        return modules.stream().map(List::of).toList();
    }

    /** What the files will hold. */
    private List<StoredTensor> stored(Scope scope, LlamaLayers plan) {
        List<StoredTensor> stored = new ArrayList<>();
        Set<Parameter> coded = new HashSet<>();
        if (options.codes() == Weight.Kind.NF4) {
            plan.projections().forEach(projection -> coded.add(projection.parameter()));
        }
        for (Parameter parameter : plan.parameters()) {
            long[] shape = parameter.value().shape();
            if (coded.contains(parameter)) {
                String module = parameter.name().substring(0, parameter.name().lastIndexOf('.'));
                stored.addAll(CodedWeights.stored(module, scope.nf4(Memory.WORKSPACE, shape[0], shape[1], true)));
            } else {
                stored.add(new StoredTensor(parameter.name(), dtype(parameter.name()), shape));
            }
        }
        for (String name : unused()) {
            stored.add(checkpoint.entry(name));
        }
        return stored;
    }

    /** The checkpoint's tensors that are no part of what is computed. */
    private List<String> unused() {
        return config.design().architecture().unused(checkpoint);
    }

    /** Writes those as they are. */
    private void carry(CheckpointWriter out) {
        for (String name : unused()) {
            try (Scope scope = context.host().scope()) {
                out.writeBytes(name, checkpoint.bytes(name, scope));
            }
        }
    }

    private DType dtype(String name) {
        if (options.dtype() != null) {
            return options.dtype();
        }
        boolean numbers = checkpoint.contains(name) && checkpoint.dtype(name).isFloat();
        return numbers ? checkpoint.dtype(name) : plain;
    }

    private void merge(LlamaLayers plan, List<Object> modules, boolean whole, CheckpointWriter out, Listener listener) {
        Adapter adapter = adapters.get();
        try (Scope scope = context.scope()) {
            ModelPart part = new ModelPart(scope, plan, whole);
            for (Object module : modules) {
                if (module instanceof Projection planned) {
                    part.add(read(scope, planned, adapter.form(planned.module())));
                } else {
                    part.add(read(scope, (Parameter) module));
                }
            }
            adapter.attach(part);
            changed |= !adapter.parameters().isEmpty();
            if (unread == null) {
                unread = new TreeSet<>(adapter.unread());
            } else {
                unread.retainAll(adapter.unread());
            }
            adapter.merge();
            Set<String> weights = new TreeSet<>();
            for (Projection projection : part.projections()) {
                weights.add(projection.name());
                write(projection, out, listener);
            }
            for (Parameter parameter : part.parameters()) {
                if (!weights.contains(parameter.name())) {
                    write(parameter.name(), parameter.value(), out, listener);
                }
            }
        }
    }

    private Parameter read(Scope scope, Parameter planned) {
        Tensor value = scope.tensor(Memory.BASE, DType.F32, planned.value().shape());
        checkpoint.read(planned.name(), value);
        return new Parameter(planned.name(), value);
    }

    /** @param trained the form whose tables the adapter trains; null: it changes the weights beside whatever form */
    private Projection read(Scope scope, Projection planned, WeightForm trained) {
        String module = planned.module();
        long outputs = planned.weight().n();
        long inputs = planned.weight().k();
        WeightForm stored = CodedWeights.form(checkpoint, module);
        Projection projection;
        if (trained != null) {
            boolean codes = stored.kind() != Weight.Kind.DENSE;
            projection = Projection.of(scope, module, DType.F32, outputs, inputs, 0, codes ? stored : trained);
            readCodes(projection, stored);
        } else {
            projection = new Projection(scope, module, DType.F32, outputs, inputs, 0);
            WeightForm form = stored.kind() == Weight.Kind.DENSE ? WeightForm.of(options.base()) : stored;
            if (form.kind() == Weight.Kind.DENSE) {
                checkpoint.read(projection.name(), projection.weight().matrix());
            } else {
                try (Scope inner = scope.scope()) {
                    Projection coded = Projection.of(inner, module, DType.F32, outputs, inputs, 0, form);
                    readCodes(coded, stored);
                    decode(coded.weight(), projection.weight().matrix());
                }
            }
        }
        if (planned.bias() != null) {
            projection.withBias(scope);
            checkpoint.read(planned.bias().name(), projection.bias().value());
        }
        return projection;
    }

    private void readCodes(Projection into, WeightForm stored) {
        if (stored.kind() != Weight.Kind.DENSE) {
            CodedWeights.read(checkpoint, into.module(), into.weight(), into.table());
            return;
        }
        try (Scope inner = context.scope()) {
            Tensor matrix = inner.tensor(
                    Memory.WORKSPACE,
                    DType.F32,
                    into.weight().n(),
                    into.weight().k());
            checkpoint.read(into.name(), matrix);
            into.quantize(matrix);
        }
    }

    private void decode(Weight weight, Tensor matrix) {
        if (weight.kind() == Weight.Kind.NF4) {
            Nf4.dequantize(context, weight, matrix);
        } else {
            Sketch.decode(context, weight, matrix);
        }
    }

    private void write(Projection projection, CheckpointWriter out, Listener listener) {
        Weight weight = projection.weight();
        try (Scope scope = context.scope()) {
            Tensor exact;
            if (projection.parameter() != null) {
                exact = weight.matrix();
            } else {
                exact = scope.tensor(Memory.WORKSPACE, DType.F32, weight.n(), weight.k());
                decode(weight, exact);
            }
            if (options.codes() == Weight.Kind.DENSE) {
                write(projection.name(), exact, out, listener);
                return;
            }
            Weight codes = scope.nf4(Memory.WORKSPACE, weight.n(), weight.k(), true);
            Nf4.quantize(context, exact, codes);
            Map<String, Tensor> tensors = new LinkedHashMap<>();
            CodedWeights.put(tensors, scope, projection.module(), codes, null);
            tensors.forEach(out::write);
            Tensor found = scope.tensor(Memory.WORKSPACE, DType.F32, weight.n(), weight.k());
            Nf4.dequantize(context, codes, found);
            report(projection.name(), Deviation.between(exact, found), listener);
        }
    }

    private void write(String name, Tensor exact, CheckpointWriter out, Listener listener) {
        DType dtype = out.dtype(name);
        out.write(name, exact);
        report(name, Deviation.ofRounding(exact, dtype), listener);
    }

    private void report(String name, Deviation error, Listener listener) {
        total = total.plus(error);
        listener.written(name, error);
    }

    private void expectAllUsed() {
        if (!unread.isEmpty()) {
            throw new IllegalArgumentException("this model has no place for the adapter's "
                    + unread.iterator().next() + " (" + unread.size() + " such tensors)");
        }
        if (!changed) {
            throw new IllegalArgumentException("the adapter targets no module of the model");
        }
    }
}
