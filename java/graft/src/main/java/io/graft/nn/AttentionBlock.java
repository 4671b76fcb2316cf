package io.graft.nn;

import io.graft.ops.Attention;
import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.util.List;

/**
 * The attention half of a block: {@code y = x + o(attention(rope(q), rope(k), v))} with q, k, v projections of norm(x).
 * Where heads have norms, q and k go through them before they are turned. The projections write straight into views that attention reads, and o adds straight into the residual stream.
 */
public final class AttentionBlock {
    private final BlockShape shape;
    private final Norm norm;
    private final Projection q;
    private final Projection k;
    private final Projection v;
    private final Projection o;
    private final Norm postNorm;
    private final int window;
    private final double cap;
    private final BlockForm.Rotary rotary;
    private final int frequencies;
    private final int fusedGroups;
    private final HeadNorm qNorm;
    private final HeadNorm kNorm;
    private GatedPrompt gated;

    AttentionBlock(Scope scope, String path, DType dtype, BlockShape shape, BlockForm form, Projection.Factory make) {
        BlockForm.Names names = form.names();
        this.shape = shape;
        this.window = form.window();
        this.cap = form.scoreCap();
        this.rotary = form.rotary();
        this.frequencies = form.frequencies();
        this.fusedGroups = form.fusedGroups();
        this.norm =
                Norm.of(form.norm(), scope, path + "." + names.attentionNorm(), dtype, shape.hidden(), shape.epsilon());
        boolean fused = names.k() == null;
        int width = fused ? shape.queryWidth() + 2 * shape.keyWidth() : shape.queryWidth();
        this.q = make.projection(path + "." + names.q(), width, shape.hidden());
        this.k = fused ? null : make.projection(path + "." + names.k(), shape.keyWidth(), shape.hidden());
        this.v = fused ? null : make.projection(path + "." + names.v(), shape.keyWidth(), shape.hidden());
        this.o = make.projection(path + "." + names.o(), shape.hidden(), shape.queryWidth());
        this.postNorm = Norm.behind(form.norm(), scope, path, names.attentionPostNorm(), dtype, shape);
        if (form.inputBiases()) {
            inputs().forEach(layer -> layer.withBias(scope));
        }
        if (form.outputBias()) {
            o.withBias(scope);
        }
        this.qNorm = form.headNorms() ? headNorm(scope, path + ".self_attn.q_norm", dtype, shape.heads(), form) : null;
        this.kNorm =
                form.headNorms() ? headNorm(scope, path + ".self_attn.k_norm", dtype, shape.kvHeads(), form) : null;
    }

    private HeadNorm headNorm(Scope scope, String module, DType dtype, int heads, BlockForm form) {
        return new HeadNorm(scope, module, dtype, heads, shape, form.norm() == Norm.Kind.SHIFTED_RMS);
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
        private final Norm.Tape post;
        private final HeadNorm.Tape qNorm;
        private final HeadNorm.Tape kNorm;
        private final FusedHeads fused;

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
            rstd = training ? layer.norm.statistics(scope, rows) : null;
            lse = training ? Scratch.statistics(scope, dtype, batch, shape.heads(), length) : null;
            sq = training ? Scratch.kept(scope, dtype, layer.q, rows) : null;
            sk = training && layer.k != null ? Scratch.kept(scope, dtype, layer.k, rows) : null;
            sv = training && layer.v != null ? Scratch.kept(scope, dtype, layer.v, rows) : null;
            so = training ? Scratch.kept(scope, dtype, layer.o, rows) : null;
            post = layer.postNorm == null ? null : new Norm.Tape(scope, dtype, layer.postNorm, scratch, training);
            qNorm = layer.qNorm == null ? null : new HeadNorm.Tape(scope, dtype, layer.qNorm, q, training);
            kNorm = layer.kNorm == null ? null : new HeadNorm.Tape(scope, dtype, layer.kNorm, k, training);
            fused = scratch.fused == null ? null : new FusedHeads(scratch.fused, q, k, v, layer.fusedGroups);
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
            sk = training && layer.k != null ? Scratch.kept(scope, dtype, layer.k, rows) : null;
            sv = training && layer.v != null ? Scratch.kept(scope, dtype, layer.v, rows) : null;
            so = training ? Scratch.kept(scope, dtype, layer.o, rows) : null;
            post = shared.post;
            qNorm = shared.qNorm;
            kNorm = shared.kNorm;
            fused = shared.fused;
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
     * @param prefix what stands before the sequences, and where keys and values go then; or null
     * @param cache where they go in generation, with a prefix already there; null outside it
     * @param layer of the cache
     * @param gate null without a gated prompt
     */
    void forward(
            Pass pass,
            Tensor x,
            Tensor y,
            Tape tape,
            Prefix.Tape prefix,
            KvCache.Step cache,
            int layer,
            GatedPrompt.Tape gate,
            Scratch scratch) {
        Context context = pass.context();
        norm.forward(pass, x, tape.h, tape.rstd);
        if (k == null) {
            q.forward(pass, tape.h, false, scratch.fused, tape.sq);
            tape.fused.spread(context);
        } else {
            q.forward(pass, tape.h, false, qNorm == null ? tape.q : tape.qNorm.x, tape.sq);
            k.forward(pass, tape.h, false, kNorm == null ? tape.k : tape.kNorm.x, tape.sk);
            v.forward(pass, tape.h, false, tape.v, tape.sv);
        }
        if (qNorm != null) {
            qNorm.forward(pass, tape.qNorm);
            kNorm.forward(pass, tape.kNorm);
        }
        Prefix.Store store = prefix == null ? null : prefix.store();
        if (prefix != null) {
            prefix.forward(context);
        }
        Tensor newKeys = store == null ? tape.kHeads : store.newKeys();
        if (rotary != BlockForm.Rotary.NONE) {
            boolean pairs = rotary == BlockForm.Rotary.PAIRS;
            RotaryEmbedding turns = pass.rotary(frequencies);
            turns.forward(pass, tape.qHeads, pairs, tape.qHeads);
            turns.forward(pass, tape.kHeads, pairs, newKeys);
        } else if (store != null) {
            TensorOps.copy(context, tape.kHeads, newKeys);
        }
        if (store != null) {
            TensorOps.copy(context, tape.vHeads, store.newValues());
        }
        Tensor out = gate == null ? tape.outHeads : gate.own;
        if (cache == null) {
            Attention.forward(
                    context,
                    tape.qHeads,
                    store == null ? tape.kHeads : store.keys(),
                    store == null ? tape.vHeads : store.values(),
                    pass.lengths(),
                    pass.starts(),
                    shape.attentionScale(),
                    cap,
                    pass.past(),
                    window,
                    out,
                    tape.lse);
        } else {
            cache.write(context, layer, tape.k, tape.v);
            Attention.pagedForward(
                    context,
                    tape.qHeads,
                    cache.keys(layer),
                    cache.values(layer),
                    cache.pages(),
                    cache.lengths(),
                    shape.attentionScale(),
                    cap,
                    window,
                    out);
        }
        if (gate != null) {
            gate.forward(context, tape.qHeads, tape.outHeads);
        }
        if (postNorm == null) {
            o.forward(pass, tape.out, true, y, tape.so);
        } else {
            o.forward(pass, tape.out, false, tape.post.x, tape.so);
            postNorm.addTo(pass, y, tape.post);
        }
    }

    /**
     * Adds to dx the gradient of x that goes through this half. wantInput false: nothing before it is trained, and whatever
     * only the input's gradient needs is left out.
     *
     * @param dy gradient of the residual stream behind this half
     * @param dx may be dy
     */
    void backward(
            Pass pass,
            Tensor dy,
            Tensor dx,
            Tensor x,
            Tape tape,
            Prefix.Tape prefix,
            GatedPrompt.Tape gate,
            Scratch scratch,
            boolean wantInput) {
        Context context = pass.context();
        boolean wantNorm = wantInput || norm.trainable();
        boolean wantHeads = wantNorm || inputsTrained() || headNormsTrained() || (prefix != null && prefix.trainable());
        boolean wantGate = gate != null && gate.trainable();
        Tensor dmade = postNorm == null ? dy : postNorm.backwardBehind(pass, dy, tape.post, scratch);
        o.backward(pass, dmade, tape.out, tape.so, false, wantHeads || wantGate ? scratch.dout : null);
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
                pass.starts(),
                shape.attentionScale(),
                cap,
                pass.past(),
                window,
                scratch.dqHeads,
                prefix == null ? scratch.dkHeads : prefix.gradients().keys,
                prefix == null ? scratch.dvHeads : prefix.gradients().values);
        if (gate != null) {
            gate.backward(context, scratch.doutHeads, tape.qHeads, scratch.dqHeads);
        }
        Tensor newKeys = prefix == null ? scratch.dkHeads : prefix.gradients().newKeys;
        if (rotary != BlockForm.Rotary.NONE) {
            boolean pairs = rotary == BlockForm.Rotary.PAIRS;
            RotaryEmbedding turns = pass.rotary(frequencies);
            turns.backward(pass, scratch.dqHeads, pairs, scratch.dqHeads);
            turns.backward(pass, newKeys, pairs, scratch.dkHeads);
        } else if (prefix != null) {
            TensorOps.copy(context, newKeys, scratch.dkHeads);
        }
        if (prefix != null) {
            TensorOps.copy(context, prefix.gradients().newValues, scratch.dvHeads);
            prefix.backward(context);
        }
        if (qNorm != null) {
            qNorm.backward(pass, scratch.dqParts(qNorm), tape.qNorm);
            kNorm.backward(pass, scratch.dkParts(kNorm), tape.kNorm);
        }
        Tensor dh = wantNorm ? scratch.dh : null;
        if (k == null) {
            scratch.dfusedHeads.gather(context);
            q.backward(pass, scratch.dfused, tape.h, tape.sq, false, dh);
        } else {
            q.backward(pass, scratch.dq, tape.h, tape.sq, false, dh);
            k.backward(pass, scratch.dk, tape.h, tape.sk, true, dh);
            v.backward(pass, scratch.dv, tape.h, tape.sv, true, dh);
        }
        if (wantNorm) {
            norm.backward(pass, dh, x, tape.rstd, true, wantInput ? dx : null);
        }
    }

    /** Whether backward reads what went into q, k and v. */
    boolean readsInputs() {
        return q.readsInput() || (k != null && (k.readsInput() || v.readsInput()));
    }

    boolean trainable() {
        return norm.trainable()
                || inputsTrained()
                || o.trainable()
                || (postNorm != null && postNorm.trainable())
                || headNormsTrained()
                || (gated != null && gated.trainable());
    }

    private boolean inputsTrained() {
        return q.trainable() || (k != null && (k.trainable() || v.trainable()));
    }

    private boolean headNormsTrained() {
        return qNorm != null && (qNorm.weight().trainable() || kNorm.weight().trainable());
    }

    /** The weights of the norms of q's and k's heads, where there are any. */
    public List<Parameter> headNorms() {
        return qNorm == null ? List.of() : List.of(qNorm.weight(), kNorm.weight());
    }

    public Norm norm() {
        return norm;
    }

    /** The norm of what attention makes, before it is added; null where there is none. */
    public Norm postNorm() {
        return postNorm;
    }

    /** q, k and v, or the one projection that makes all three. */
    List<Projection> inputs() {
        return k == null ? List.of(q) : List.of(q, k, v);
    }

    /** Whether one projection makes q, k and v. */
    boolean fused() {
        return k == null;
    }

    int fusedGroups() {
        return fusedGroups;
    }

    public Projection q() {
        return q;
    }

    /** null where {@link #q} makes keys too. */
    public Projection k() {
        return k;
    }

    /** null where {@link #q} makes values too. */
    public Projection v() {
        return v;
    }

    public Projection o() {
        return o;
    }
}
