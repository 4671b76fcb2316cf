package io.graft.nn;

import io.graft.ops.Gelu;
import io.graft.ops.SwiGlu;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.util.List;

/**
 * The MLP half of a block: {@code y = x + down(f(gate) · up)} or, without a gate, {@code y = x + down(f(up))}, with
 * gate and up projections of norm(x), and with a norm behind down where the block has one there.
 */
public final class Mlp {
    private final BlockShape shape;
    private final Norm norm;
    private final Projection gate;
    private final Projection up;
    private final Projection down;
    private final boolean fusedGate;
    private final Norm postNorm;
    private final SwiGlu.Kind gated;
    private final Gelu.Kind plain;

    /** @param beside the norm of attention, for an MLP that reads it too */
    Mlp(Scope scope, String path, DType dtype, BlockShape shape, BlockForm form, Projection.Factory make, Norm beside) {
        BlockForm.Names names = form.names();
        this.shape = shape;
        this.norm = names.mlpNorm() == null
                ? beside
                : Norm.of(form.norm(), scope, path + "." + names.mlpNorm(), dtype, shape.hidden(), shape.epsilon());
        this.gate = names.gate() == null
                ? null
                : make.projection(path + "." + names.gate(), shape.intermediate(), shape.hidden());
        this.fusedGate = form.fusedGate();
        this.up =
                make.projection(path + "." + names.up(), (fusedGate ? 2L : 1L) * shape.intermediate(), shape.hidden());
        this.down = make.projection(path + "." + names.down(), shape.hidden(), shape.intermediate());
        this.postNorm = Norm.behind(form.norm(), scope, path, names.mlpPostNorm(), dtype, shape);
        this.gated = form.function() == BlockForm.Function.SILU ? SwiGlu.Kind.SILU : SwiGlu.Kind.GELU_TANH;
        this.plain = form.function() == BlockForm.Function.ERF_GELU ? Gelu.Kind.ERF : Gelu.Kind.TANH;
        if (form.mlpBiases()) {
            projections().forEach(layer -> layer.withBias(scope));
        }
    }

    /** What backward needs of one forward. Backward leaves the gradients of gate and up in their place. */
    static final class Tape {
        final Tensor rstd;
        final Tensor h;
        /** null without a gate. */
        final Tensor gate;

        final Tensor up;
        /** What the layer up makes: up itself or, where it makes both, gate and up in one. */
        final Tensor made;

        final Tensor act;
        final Tensor sgate;
        final Tensor sup;
        private final Norm.Tape post;

        /**
         * @param inputs whether backward reads what went into gate and up
         * @param inner whether backward reads what went into down
         */
        Tape(
                Scope scope,
                DType dtype,
                Mlp layer,
                Scratch scratch,
                int border,
                boolean training,
                boolean inputs,
                boolean inner) {
            long rows = scratch.h.size(0);
            h = inputs ? Precision.activation(scope, dtype, rows, layer.shape.hidden(), border) : scratch.h;
            act = inner ? Precision.activation(scope, dtype, rows, layer.shape.intermediate(), border) : scratch.act;
            int width = layer.shape.intermediate();
            made = Precision.activation(scope, dtype, rows, layer.fusedGate ? 2L * width : width, border);
            up = layer.fusedGate ? made.columns(width, 2L * width) : made;
            gate = layer.fusedGate
                    ? made.columns(0, width)
                    : layer.gate == null ? null : Precision.activation(scope, dtype, rows, width, border);
            rstd = training ? layer.norm.statistics(scope, rows) : null;
            sgate = training && layer.gate != null ? Scratch.kept(scope, dtype, layer.gate, rows) : null;
            sup = training ? Scratch.kept(scope, dtype, layer.up, rows) : null;
            post = layer.postNorm == null ? null : new Norm.Tape(scope, dtype, layer.postNorm, scratch, training);
        }

        /** The buffers of another block's tape, with what this layer's own attachments keep. */
        Tape(Scope scope, DType dtype, Mlp layer, Tape shared) {
            boolean training = shared.rstd != null;
            long rows = shared.up.size(0);
            rstd = shared.rstd;
            h = shared.h;
            gate = shared.gate;
            up = shared.up;
            made = shared.made;
            act = shared.act;
            sgate = training && layer.gate != null ? Scratch.kept(scope, dtype, layer.gate, rows) : null;
            sup = training ? Scratch.kept(scope, dtype, layer.up, rows) : null;
            post = shared.post;
        }
    }

    /** Fills the tape again: all that backward needs when a block keeps only its input. */
    void again(Pass pass, Tensor x, Tape tape, Tensor sdown) {
        expand(pass, x, tape);
        if (postNorm != null) {
            down.forward(pass, tape.act, false, tape.post.x, sdown);
            postNorm.again(pass, tape.post);
        }
    }

    private void expand(Pass pass, Tensor x, Tape tape) {
        norm.forward(pass, x, tape.h, tape.rstd);
        up.forward(pass, tape.h, false, tape.made, tape.sup);
        if (gate != null) {
            gate.forward(pass, tape.h, false, tape.gate, tape.sgate);
        }
        if (tape.gate == null) {
            Gelu.forward(pass.context(), plain, tape.up, tape.act);
        } else {
            SwiGlu.forward(pass.context(), gated, tape.gate, tape.up, tape.act);
        }
    }

    /** y, which holds x on entry, gains the MLP's output. sdown is kept beside the tape: backward cannot remake it. */
    void forward(Pass pass, Tensor x, Tensor y, Tape tape, Tensor sdown) {
        expand(pass, x, tape);
        if (postNorm == null) {
            down.forward(pass, tape.act, true, y, sdown);
        } else {
            down.forward(pass, tape.act, false, tape.post.x, sdown);
            postNorm.addTo(pass, y, tape.post);
        }
    }

    /** As {@link AttentionBlock#backward}: adds to dx, which may be dy, what goes through this half. */
    void backward(
            Pass pass, Tensor dy, Tensor dx, Tensor x, Tape tape, Tensor sdown, Scratch scratch, boolean wantInput) {
        Context context = pass.context();
        boolean wantNorm = wantInput || norm.trainable();
        boolean wantInner = wantNorm || (gate != null && gate.trainable()) || up.trainable();
        Tensor dmade = postNorm == null ? dy : postNorm.backwardBehind(pass, dy, tape.post, scratch);
        down.backward(pass, dmade, tape.act, sdown, false, wantInner ? scratch.dact : null);
        if (!wantInner) {
            return;
        }
        Tensor dh = wantNorm ? scratch.dh : null;
        if (tape.gate == null) {
            Gelu.backward(context, plain, scratch.dact, tape.up, tape.up);
        } else {
            SwiGlu.backward(context, gated, scratch.dact, tape.gate, tape.up, tape.gate, tape.up);
        }
        if (gate != null) {
            gate.backward(pass, tape.gate, tape.h, tape.sgate, false, dh);
        }
        up.backward(pass, tape.made, tape.h, tape.sup, gate != null, dh);
        if (wantNorm) {
            norm.backward(pass, dh, x, tape.rstd, true, wantInput ? dx : null);
        }
    }

    /** Whether backward reads what went into gate and up. */
    boolean readsInputs() {
        return (gate != null && gate.readsInput()) || up.readsInput();
    }

    boolean trainable() {
        return norm.trainable()
                || (gate != null && gate.trainable())
                || up.trainable()
                || down.trainable()
                || (postNorm != null && postNorm.trainable());
    }

    public Norm norm() {
        return norm;
    }

    /** The norm behind down, before its result is added; null where there is none. */
    public Norm postNorm() {
        return postNorm;
    }

    /** Its layers, in the order of the checkpoint format. */
    List<Projection> projections() {
        return gate == null ? List.of(up, down) : List.of(gate, up, down);
    }

    /** null where there is none, or where {@link #up} makes it too. */
    public Projection gate() {
        return gate;
    }

    public Projection up() {
        return up;
    }

    public Projection down() {
        return down;
    }
}
