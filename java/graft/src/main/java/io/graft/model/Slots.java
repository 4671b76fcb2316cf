package io.graft.model;

import io.graft.adapter.Adapter;
import io.graft.io.Checkpoint;
import io.graft.io.CodedWeights;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.function.BiConsumer;

/**
 * The tensors of a checkpoint in the order in which they are filled. Of matrices that are quantised when they are filled a single
 * one at a time exists, all in one piece of memory.
 */
final class Slots {
    /** A parameter in memory, or a projection that is quantised when it is filled. */
    private record Slot(Parameter parameter, Projection quantized) {
        String name() {
            return parameter != null ? parameter.name() : quantized.name();
        }

        long size() {
            return parameter != null
                    ? parameter.value().elements()
                    : quantized.weight().n() * quantized.weight().k();
        }
    }

    private final Scope scope;
    private final Adapter adapter;
    private final FillListener listener;
    private final List<Slot> all = new ArrayList<>();

    /** @param adapter that wants to see what is quantised, or null */
    Slots(Scope scope, Adapter adapter, FillListener listener) {
        this.scope = scope;
        this.adapter = adapter;
        this.listener = listener;
    }

    void add(Parameter parameter) {
        all.add(new Slot(parameter, null));
    }

    void add(Projection projection) {
        Parameter parameter = projection.parameter();
        all.add(new Slot(parameter, parameter == null ? projection : null));
    }

    /** Fills all by name, in order. */
    void fill(BiConsumer<String, Tensor> filler) {
        fill(all, filler);
    }

    /** Codes first, which are read while there is no dense matrix. */
    void load(Checkpoint checkpoint) {
        List<Slot> dense = new ArrayList<>();
        int read = 0;
        for (Slot slot : all) {
            Projection projection = slot.quantized();
            if (projection != null
                    && CodedWeights.form(checkpoint, projection.module()).kind() != Weight.Kind.DENSE) {
                CodedWeights.read(checkpoint, projection.module(), projection.weight(), projection.table());
                listener.filled(++read, all.size());
            } else {
                dense.add(slot);
            }
        }
        fill(dense, checkpoint::read);
    }

    private void fill(List<Slot> slots, BiConsumer<String, Tensor> filler) {
        try (Scope staging = scope.scope()) {
            Tensor memory = null;
            int filled = all.size() - slots.size();
            for (Slot slot : slots) {
                if (slot.parameter() != null) {
                    filler.accept(slot.name(), slot.parameter().value());
                } else {
                    Projection projection = slot.quantized();
                    if (memory == null) {
                        memory = staging.tensor(Memory.WORKSPACE, projection.dtype(), largestQuantized(slots));
                    }
                    quantize(projection, memory, filler);
                }
                listener.filled(++filled, all.size());
            }
        }
    }

    private void quantize(Projection projection, Tensor memory, BiConsumer<String, Tensor> filler) {
        Weight weight = projection.weight();
        try (Scope views = memory.scope().scope()) {
            long[] shape = {weight.n(), weight.k()};
            Tensor matrix = views.view(memory, 0, shape, new long[] {weight.k(), 1});
            filler.accept(projection.name(), matrix);
            projection.quantize(matrix);
            if (adapter != null) {
                adapter.quantized(projection, matrix);
            }
        }
    }

    private static long largestQuantized(List<Slot> slots) {
        return slots.stream()
                .filter(slot -> slot.parameter() == null)
                .mapToLong(Slot::size)
                .max()
                .orElse(0);
    }

    /** How many numbers there are, however they are stored. */
    long size() {
        return all.stream().mapToLong(Slot::size).sum();
    }

    /** The parameters in memory: all but quantised projections. */
    List<Parameter> parameters() {
        return all.stream().map(Slot::parameter).filter(Objects::nonNull).toList();
    }
}
