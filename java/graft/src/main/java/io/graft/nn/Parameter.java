package io.graft.nn;

import io.graft.ops.AdamWParameters;
import io.graft.ops.TensorOps;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;

/**
 * A named tensor of a model or an adapter. Frozen, it is only its value in the compute dtype; trained, it also has a
 * gradient and a master in fp32 (the value itself where that is fp32 already, or bf16 and rounded at random), which is what
 * the optimiser moves.
 */
public final class Parameter {
    private final String name;
    private final Tensor value;
    private Scope scope;
    private Tensor master;
    private Tensor gradient;
    private GradientPool pool;
    private double rateFactor = 1;
    private AdamWParameters.Columns columns;
    private boolean inColumns;

    /** A frozen parameter. The name is the one of the checkpoint, e.g. {@code model.norm.weight}. */
    public Parameter(String name, Tensor value) {
        this.name = name;
        this.value = value;
    }

    /** Makes it trained: allocates the master where the compute dtype is narrow. Idempotent. */
    public Parameter train(Scope home) {
        if (!trainable()) {
            scope = home;
            DType wide = Precision.accumulator(value.dtype());
            master = value.dtype() == wide ? value : scope.tensor(Memory.ADAPTER, wide, value.shape());
            refreshMaster();
        }
        return this;
    }

    /** Makes it trained; bf16 without gaps gets no master: the optimiser moves the value itself and rounds at random. */
    public Parameter trainWithoutMaster(Scope home) {
        if (value.dtype() != DType.BF16 || !value.isContiguous()) {
            return train(home);
        }
        if (!trainable()) {
            scope = home;
            master = value;
        }
        return this;
    }

    /** Makes it trained, with its gradient in memory of the caller's; only where the value is in the dtype of masters. */
    public Parameter trainInto(Tensor memory) {
        if (memory.dtype() != value.dtype() || value.dtype() != Precision.accumulator(value.dtype())) {
            throw new IllegalArgumentException("Parameter " + name + ": value " + value.dtype() + " and gradient "
                    + memory.dtype() + ", expected the dtype of masters");
        }
        gradient = memory;
        master = value;
        return this;
    }

    /** Gives it a gradient that others use too, in turn, and no master: for what is made of trained parts. */
    Parameter withGradient(Tensor shared) {
        gradient = shared;
        return this;
    }

    /** Makes the optimiser multiply its learning rate for this parameter. */
    public Parameter withRateFactor(double factor) {
        if (!(factor > 0)) {
            throw new IllegalArgumentException("Parameter " + name + ": rate factor " + factor + " must be positive");
        }
        rateFactor = factor;
        return this;
    }

    public double rateFactor() {
        return rateFactor;
    }

    /**
     * Lets the optimiser write what becomes of it into columns of a weight, in the pass that moves it. The columns are thought
     * to be old again after {@link #refreshValue} and {@link #refreshMaster}: who changes the numbers otherwise calls one of them.
     */
    public Parameter withColumns(AdamWParameters.Columns target) {
        columns = target;
        return this;
    }

    /** The columns that the optimiser writes; null where there are none. */
    public AdamWParameters.Columns columns() {
        return columns;
    }

    /** Tells it that the optimiser has moved it and written its columns, until its value is otherwise changed. */
    public void movedIntoColumns() {
        inColumns = columns != null;
    }

    /** Whether its columns were written when it was last moved; from now on they are thought to be old. */
    boolean takeInColumns() {
        boolean was = inColumns;
        inColumns = false;
        return was;
    }

    /** Copies the value into the master, after the value was loaded or initialised. */
    public void refreshMaster() {
        inColumns = false;
        if (master != null && master != value) {
            TensorOps.copy(value.scope().context(), value, master);
        }
    }

    /** Copies the master into the value, after the master was loaded. */
    public void refreshValue() {
        inColumns = false;
        if (master != null && master != value) {
            TensorOps.copy(value.scope().context(), master, value);
        }
    }

    public String name() {
        return name;
    }

    /** What the forward pass reads, in the compute dtype. */
    public Tensor value() {
        return value;
    }

    /** What the optimiser moves; null when frozen. */
    public Tensor master() {
        return master;
    }

    /** The copy in the compute dtype that the optimiser writes beside the master; null when they are the same. */
    public Tensor computeCopy() {
        return master == value ? null : value;
    }

    /** The most exact form there is: the master of a trained parameter, else the value. */
    public Tensor best() {
        return master == null ? value : master;
    }

    /** Sum of gradients since {@link #zeroGradient()}, made when first asked for; null when frozen. */
    public Tensor gradient() {
        if (gradient == null && scope != null) {
            gradient = pool != null
                    ? pool.take(value)
                    : scope.tensor(Memory.GRADIENT, Precision.accumulator(value.dtype()), value.shape());
        }
        return gradient;
    }

    /** Makes it take its gradient from a pool each time; does nothing where it has one already. */
    public void takeGradientFrom(GradientPool source) {
        if (gradient == null) {
            pool = source;
        }
    }

    /** Gives the gradient back to the pool that it came from, or clears it where it is its own. */
    public void dropGradient() {
        if (pool == null || gradient == null) {
            zeroGradient();
        } else {
            pool.give(gradient);
            gradient = null;
        }
    }

    /** Whether value, master and gradient are memory without gaps. */
    public boolean isContiguous() {
        return value.isContiguous()
                && (master == null || master.isContiguous())
                && (gradient == null || gradient.isContiguous());
    }

    public boolean trainable() {
        return scope != null || gradient != null;
    }

    public void zeroGradient() {
        if (gradient != null) {
            TensorOps.fill(gradient.scope().context(), 0, gradient);
        }
    }

    @Override
    public String toString() {
        return name + (trainable() ? " (trained)" : " (frozen)");
    }
}
