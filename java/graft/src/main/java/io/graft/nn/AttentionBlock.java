package io.graft.nn;

import io.graft.ops.Attention;
import io.graft.ops.Rope;
import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;

/**
 * The attention half of a block: {@code y = x + o(attention(rope(q), rope(k), v))} with q, k, v projections of norm(x).
 * The projections write straight into views that attention reads, and o adds straight into the residual stream.
 */
public final class AttentionBlock {
    private final BlockShape shape;
    private final RmsNormLayer norm;
    private final Projection q;
    private final Projection k;
    private final Projection v;
    private final Projection o;
    private GatedPrompt gated;

    AttentionBlock(Scope scope, String path, DType dtype, BlockShape shape, Projection.Factory make) {
        String attention = path + ".self_attn";
        this.shape = shape;
        this.norm = new RmsNormLayer(scope, path + ".input_layernorm", dtype, shape.hidden(), shape.epsilon());
        this.q = make.projection(attention + ".q_proj", shape.queryWidth(), shape.hidden());
        this.k = make.projection(attention + ".k_proj", shape.keyWidth(), shape.hidden());
        this.v = make.projection(attention + ".v_proj", shape.keyWidth(), shape.hidden());
        this.o = make.projection(attention + ".o_proj", shape.hidden(), shape.queryWidth());
    }

    /** What backward needs of one forward. */
    static final class Tape {
        final Tensor rstd;
        final Tensor h;
        final Tensor q;
        final Tensor qHeads;
        final Tensor k;
        final Tensor kHeads;
        final Tensor v;
        final Tensor vHeads;
        final Tensor out;
        final Tensor outHeads;
        final Tensor lse;
        final Tensor sq;
        final Tensor sk;
        final Tensor sv;
        final Tensor so;

        /**
         * @param inputs whether backward reads what went into q, k and v
         * @param donor whose k and v serve, where they need not last; null for own ones
         */
        Tape(
                Scope scope,
                DType dtype,
                AttentionBlock layer,
                Scratch scratch,
                int batch,
                int border,
                boolean training,
                boolean inputs,
                Tape donor) {
            BlockShape shape = layer.shape;
            long rows = scratch.h.size(0);
            int length = (int) (rows / batch);
            h = inputs ? Precision.activation(scope, dtype, rows, shape.hidden(), border) : scratch.h;
            q = Precision.activation(scope, dtype, rows, shape.queryWidth(), 0);
            qHeads = Scratch.heads(q, batch, length, shape.heads(), shape.headDim());
            k = donor != null ? donor.k : Precision.activation(scope, dtype, rows, shape.keyWidth(), 0);
            kHeads = Scratch.heads(k, batch, length, shape.kvHeads(), shape.headDim());
            v = donor != null ? donor.v : Precision.activation(scope, dtype, rows, shape.keyWidth(), 0);
            vHeads = Scratch.heads(v, batch, length, shape.kvHeads(), shape.headDim());
            out = Precision.activation(scope, dtype, rows, shape.queryWidth(), border);
            outHeads = Scratch.heads(out, batch, length, shape.heads(), shape.headDim());
            rstd = training ? Scratch.statistics(scope, dtype, rows) : null;
            lse = training ? Scratch.statistics(scope, dtype, batch, shape.heads(), length) : null;
            sq = training ? Scratch.kept(scope, dtype, layer.q, rows) : null;
            sk = training ? Scratch.kept(scope, dtype, layer.k, rows) : null;
            sv = training ? Scratch.kept(scope, dtype, layer.v, rows) : null;
            so = training ? Scratch.kept(scope, dtype, layer.o, rows) : null;
        }

        /** The buffers of another block's tape, with what this layer's own attachments keep. */
        Tape(Scope scope, DType dtype, AttentionBlock layer, Tape shared) {
            boolean training = shared.rstd != null;
            long rows = shared.q.size(0);
            rstd = shared.rstd;
            h = shared.h;
            q = shared.q;
            qHeads = shared.qHeads;
            k = shared.k;
            kHeads = shared.kHeads;
            v = shared.v;
            vHeads = shared.vHeads;
            out = shared.out;
            outHeads = shared.outHeads;
            lse = shared.lse;
            sq = training ? Scratch.kept(scope, dtype, layer.q, rows) : null;
            sk = training ? Scratch.kept(scope, dtype, layer.k, rows) : null;
            sv = training ? Scratch.kept(scope, dtype, layer.v, rows) : null;
            so = training ? Scratch.kept(scope, dtype, layer.o, rows) : null;
        }
    }

    /** Lets every query attend to these rows too, from the next buffers on. */
    public void attach(GatedPrompt prompt) {
        if (gated != null) {
            throw new IllegalStateException("AttentionBlock.attach: " + q.module() + " already has a gated prompt");
        }
        gated = prompt;
    }

    /** The rows that every query attends to beside the sequence, or null. */
    GatedPrompt gated() {
        return gated;
    }

    /**
     * y, which holds x on entry, gains the attention output.
     *
     * @param store where keys and values go, null for the tape
     * @param gate null without a gated prompt
     */
    void forward(Pass pass, Tensor x, Tensor y, Tape tape, KvCache.Layer store, GatedPrompt.Tape gate) {
        Context context = pass.context();
        norm.forward(pass, x, tape.h, tape.rstd);
        q.forward(pass, tape.h, false, tape.q, tape.sq);
        k.forward(pass, tape.h, false, tape.k, tape.sk);
        v.forward(pass, tape.h, false, tape.v, tape.sv);
        Rope.forward(context, tape.qHeads, pass.positions(), pass.inverseFrequencies(), false, tape.qHeads);
        Tensor newKeys = store == null ? tape.kHeads : store.newKeys();
        Rope.forward(context, tape.kHeads, pass.positions(), pass.inverseFrequencies(), false, newKeys);
        if (store != null) {
            TensorOps.copy(context, tape.vHeads, store.newValues());
        }
        Attention.forward(
                context,
                tape.qHeads,
                store == null ? tape.kHeads : store.keys(),
                store == null ? tape.vHeads : store.values(),
                pass.lengths(),
                shape.attentionScale(),
                pass.past(),
                0,
                gate == null ? tape.outHeads : gate.own,
                tape.lse);
        if (gate != null) {
            gate.forward(context, tape.qHeads, tape.outHeads);
        }
        o.forward(pass, tape.out, true, y, tape.so);
    }

    /**
     * dy is the gradient of the residual stream behind this half and becomes the one before it; wantInput false: nothing
     * before it is trained, and whatever only the input's gradient needs is left out.
     */
    void backward(
            Pass pass,
            Tensor dy,
            Tensor x,
            Tape tape,
            Prefix.Tape prefix,
            GatedPrompt.Tape gate,
            Scratch scratch,
            boolean wantInput) {
        Context context = pass.context();
        boolean wantNorm = wantInput || norm.weight().trainable();
        boolean wantHeads =
                wantNorm || q.trainable() || k.trainable() || v.trainable() || (prefix != null && prefix.trainable());
        boolean wantGate = gate != null && gate.trainable();
        o.backward(pass, dy, tape.out, tape.so, false, wantHeads || wantGate ? scratch.dout : null);
        if (!wantHeads) {
            if (wantGate) {
                gate.backward(context, scratch.doutHeads, tape.qHeads, null);
            }
            return;
        }
        Attention.backward(
                context,
                scratch.doutHeads,
                tape.qHeads,
                prefix == null ? tape.kHeads : prefix.store().keys(),
                prefix == null ? tape.vHeads : prefix.store().values(),
                gate == null ? tape.outHeads : gate.own,
                tape.lse,
                pass.lengths(),
                shape.attentionScale(),
                pass.past(),
                0,
                scratch.dqHeads,
                prefix == null ? scratch.dkHeads : prefix.gradients().keys,
                prefix == null ? scratch.dvHeads : prefix.gradients().values);
        if (gate != null) {
            gate.backward(context, scratch.doutHeads, tape.qHeads, scratch.dqHeads);
        }
        Rope.backward(context, scratch.dqHeads, pass.positions(), pass.inverseFrequencies(), false, scratch.dqHeads);
        Tensor newKeys = prefix == null ? scratch.dkHeads : prefix.gradients().newKeys;
        Rope.backward(context, newKeys, pass.positions(), pass.inverseFrequencies(), false, scratch.dkHeads);
        if (prefix != null) {
            TensorOps.copy(context, prefix.gradients().newValues, scratch.dvHeads);
            prefix.backward(context);
        }
        Tensor dh = wantNorm ? scratch.dh : null;
        q.backward(pass, scratch.dq, tape.h, tape.sq, false, dh);
        k.backward(pass, scratch.dk, tape.h, tape.sk, true, dh);
        v.backward(pass, scratch.dv, tape.h, tape.sv, true, dh);
        if (wantNorm) {
            norm.backward(pass, dh, x, tape.rstd, true, wantInput ? dy : null);
        }
    }

    /** Whether backward reads what went into q, k and v. */
    boolean readsInputs() {
        return q.readsInput() || k.readsInput() || v.readsInput();
    }

    boolean trainable() {
        return norm.weight().trainable()
                || q.trainable()
                || k.trainable()
                || v.trainable()
                || o.trainable()
                || (gated != null && gated.trainable());
    }

    public RmsNormLayer norm() {
        return norm;
    }

    public Projection q() {
        return q;
    }

    public Projection k() {
        return k;
    }

    public Projection v() {
        return v;
    }

    public Projection o() {
        return o;
    }
}
