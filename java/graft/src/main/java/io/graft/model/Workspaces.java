package io.graft.model;

import io.graft.nn.BlockStack;

/** The buffers in use: one set for training and one for inference, made again when a batch has another shape. */
final class Workspaces {
    private final Llama model;
    private final BlockStack.Mode trainingMode;
    private Workspace training;
    private Workspace inference;

    Workspaces(Llama model, boolean gradientCheckpointing) {
        this.model = model;
        this.trainingMode = gradientCheckpointing ? BlockStack.Mode.CHECKPOINT : BlockStack.Mode.KEEP;
    }

    /** why: a training set is large, so that the inference set makes room for a new one. */
    Workspace training(int batch, int length) {
        if (training == null || !training.serves(batch, length)) {
            release();
            training = model.workspace(batch, length, trainingMode);
        }
        return training;
    }

    Workspace inference(int batch, int length) {
        if (inference == null || !inference.serves(batch, length)) {
            if (inference != null) {
                inference.close();
            }
            inference = model.workspace(batch, length, BlockStack.Mode.INFERENCE);
        }
        return inference;
    }

    /** The training set in use, or null. */
    Workspace training() {
        return training;
    }

    void release() {
        if (training != null) {
            training.close();
            training = null;
        }
        if (inference != null) {
            inference.close();
            inference = null;
        }
    }
}
