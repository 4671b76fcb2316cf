package io.graft.cli;

import io.graft.io.LlamaConfig;
import io.graft.io.Tokenizer;
import io.graft.model.Batch;
import io.graft.model.Llama;
import io.graft.tensor.Context;
import io.graft.train.Example;
import io.graft.train.ExampleBatches;
import io.graft.train.Schedule;
import io.graft.train.Trainer;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/**
 * {@code graft finetune}: trains a model on text by one of the methods and writes the adapter, or the whole model.
 *
 * <p>This class reads and checks the options; {@link FinetuneRun} is the loop.
 */
@Command(
        name = "finetune",
        description = "Train a model on text: all of it, or an adapter.",
        footer = {
            "",
            "Ctrl-C ends the run after the current step and saves a checkpoint; the same command with --resume",
            "continues it bit for bit."
        })
final class FinetuneCommand extends GraftCommand {
    /** How the learning rate moves after the warm-up. */
    enum Decay {
        CONSTANT,
        LINEAR,
        COSINE
    }

    @Mixin
    ModelOptions model;

    @Mixin
    TextOptions text;

    @Option(names = "--out", required = true, paramLabel = "DIR", description = "Where the result goes.")
    Path folder;

    @Option(
            names = "--method",
            paramLabel = "NAME",
            description = "lora or full; `graft info` lists all (default: lora).")
    String methodName = "lora";

    @Mixin
    MethodOptions methodOptions;

    @Option(names = "--from-scratch", description = "Start from random weights: --model needs no weights then.")
    boolean fromScratch;

    @Option(names = "--epochs", paramLabel = "N", description = "Passes over the data (default: 1).")
    Double epochs;

    @Option(names = "--steps", paramLabel = "N", description = "Optimiser steps, instead of --epochs.")
    Long steps;

    @Option(names = "--accumulate", paramLabel = "N", description = "Batches of a step (default: ${DEFAULT-VALUE}).")
    int accumulate = 1;

    @Option(names = "--lr", paramLabel = "RATE", description = "Learning rate (default: the method's).")
    Double rate;

    @Option(
            names = "--schedule",
            paramLabel = "NAME",
            description = "${COMPLETION-CANDIDATES}, in any case (default: cosine).")
    Decay schedule = Decay.COSINE;

    @Option(names = "--warmup", paramLabel = "N", description = "Steps in which the rate rises (default: a tenth).")
    Long warmup;

    @Mixin
    OptimizerOptions optimizer;

    @Option(
            names = "--adapter-drop",
            paramLabel = "N",
            description = "AdapterDrop: each step leaves the adapters of the lowest 0 to N blocks out (default: 0).")
    int adapterDrop;

    @Option(names = "--gradient-checkpointing", description = "Less memory; forward runs once more.")
    boolean checkpointing;

    @Option(
            names = "--cuda-graph",
            description = "With --device cuda: steps are launched as CUDA graphs where they are all the same.")
    boolean cudaGraph;

    @Option(names = "--resume", description = "Continue the run in --out.")
    boolean resume;

    @Option(names = "--overwrite", description = "Replace the run, adapter or model in --out.")
    boolean overwrite;

    @Option(
            names = "--save-every",
            paramLabel = "N",
            description = "Steps between checkpoints; 0: at the end only (default: 200).")
    long saveEvery = 200;

    @Option(
            names = "--eval-data",
            paramLabel = "FILE|DIR",
            description = "Text to measure the loss on, before and after.")
    Path evalData;

    @Option(names = "--seed", paramLabel = "N", description = "Of data order, weights and dropout (default: 0).")
    long seed;

    @Override
    protected int execute() throws IOException {
        Method method = check();
        methodOptions.withBaseModel(model.folder).expectReadBy(this, List.of(method));
        try (Context context = openContext(model.device);
                Tokenizer tokenizer = Tokenizer.load(model.folder)) {
            Plan plan = new Plan(model, methodOptions.withSteps(2), optimizer, checkpointing, 1, 2);
            String missing = plan.missing(LlamaConfig.read(model.folder), method);
            if (missing != null) {
                throw plan.refusal(method, missing);
            }
            RunSettings settings = settings(method);
            OutputTarget target = target(settings);
            Interruption.install();
            List<Example> examples = text.examples(this, tokenizer, model.folder);
            List<Batch> validation = evalData == null
                    ? List.of()
                    : text.batches(text.examples(this, tokenizer, model.folder, evalData), Integer.MAX_VALUE);
            ExampleBatches source = new ExampleBatches(examples, text.batch, text.length, text.multiple(), seed);
            long total = steps != null ? steps : steps(source);
            Llama.Options options = Llama.Options.training(method.create(methodOptions.withSteps(total), seed))
                    .withGradientCheckpointing(checkpointing);
            try (OpenModel opened = open(context, options)) {
                Calibration.run(opened.llama(), source, methodOptions.samples);
                describe(method, opened, examples.size(), total);
                if (!resume) {
                    target.clear();
                    settings.write(folder);
                }
                try (Trainer trainer = new Trainer(opened.llama(), options(total, method), source)) {
                    FinetuneRun run = new FinetuneRun(out(), opened, trainer, method, folder, total, saveEvery);
                    return run.execute(resume, validation, () -> ModelFiles.copyTokenizer(model.folder, folder));
                }
            }
        }
    }

    private Method check() {
        Method method;
        try {
            method = Method.named(methodName);
        } catch (IllegalArgumentException unknown) {
            throw usage("--method: " + unknown.getMessage());
        }
        if (steps != null && epochs != null) {
            throw usage("--steps and --epochs exclude each other");
        }
        positive("--steps", steps);
        positive("--epochs", epochs);
        positive("--accumulate", accumulate);
        positive("--lr", rate);
        positive("--rank", methodOptions.rank);
        positive("--alpha", methodOptions.alpha);
        positive("--virtual-tokens", methodOptions.virtualTokens);
        positive("--last-layers", methodOptions.lastLayers);
        positive("--places", methodOptions.places);
        positive("--dimension", methodOptions.dimension);
        positive("--period", methodOptions.period);
        positive("--reduction", methodOptions.reduction);
        positive("--update-rate-ratio", methodOptions.updateRateRatio);
        share("--keep-tokens", methodOptions.keptTokens);
        share("--keep-pieces", methodOptions.keptPieces);
        if (methodOptions.keptShare != null) {
            share("--kept-share", methodOptions.keptShare);
        }
        positive("--copies", methodOptions.copies);
        share("--kept-gradients", methodOptions.keptGradients);
        positive("--samples", methodOptions.samples);
        if (!(methodOptions.rankSpread >= 1)) {
            throw usage("--rank-spread must be at least 1, got " + methodOptions.rankSpread);
        }
        positive("--groups", methodOptions.groups);
        if (methodOptions.bits < 2 || methodOptions.bits > 4) {
            throw usage("--bits must be 2, 3 or 4, got " + methodOptions.bits);
        }
        positive("--rate-ratio", methodOptions.rateRatio);
        for (int saved : methodOptions.saveRanks) {
            positive("--save-ranks", saved);
        }
        notNegative("--gate-penalty", methodOptions.gatePenalty);
        notNegative("--sparsity", methodOptions.sparsity);
        notNegative("--reselect-every", methodOptions.reselectEvery);
        notNegative("--adapter-drop", adapterDrop);
        notNegative("--warmup", warmup);
        optimizer.check(this, rate, accumulate);
        notNegative("--save-every", saveEvery);
        text.check(this);
        if (!(methodOptions.dropout >= 0 && methodOptions.dropout < 1)) {
            throw usage("--dropout must be in [0, 1), got " + methodOptions.dropout);
        }
        if (!(methodOptions.factorDropout > 0 && methodOptions.factorDropout < 1)) {
            throw usage("--factor-dropout must be in (0, 1), got " + methodOptions.factorDropout);
        }
        if (model.quantize != Quantization.NONE && method.peftType() == null) {
            throw usage("--quantize " + model.quantize + " freezes the linear layers, which --method " + method.name()
                    + " trains; take lora");
        }
        if (fromScratch && method.peftType() != null) {
            throw usage("--from-scratch goes with --method full: the random base of an adapter would be saved nowhere");
        }
        if (cudaGraph && model.device.isCpu()) {
            throw usage("--cuda-graph goes with --device cuda");
        }
        if (resume && overwrite) {
            throw usage("--resume and --overwrite exclude each other");
        }
        model.check();
        existing("--data", text.data);
        if (evalData != null) {
            existing("--eval-data", evalData);
        }
        return method;
    }

    /** why before any work: an older result stays until the model is there and the new run begins. */
    private OutputTarget target(RunSettings settings) throws IOException {
        OutputTarget target = new OutputTarget("--out", folder);
        if (resume) {
            settings.expectIn(folder);
        } else {
            target.checkFolder(overwrite, true, model.folder, text.data, evalData);
        }
        return target.make();
    }

    private long steps(ExampleBatches source) {
        double passes = epochs == null ? 1 : epochs;
        return Math.max(1, (long) Math.ceil(passes * source.batchesPerEpoch() / accumulate));
    }

    private OpenModel open(Context context, Llama.Options options) {
        return fromScratch
                ? OpenModel.create(
                        context,
                        LlamaConfig.read(model.folder),
                        model.dtype.dtype(),
                        seed,
                        options.withBase(model.quantize.kind()))
                : model.open(context, options);
    }

    private Trainer.Options options(long total, Method method) {
        double peak = rate == null ? method.learningRate() : rate;
        long rising = warmup == null ? total / 10 : warmup;
        long falling = Math.max(1, total - rising);
        Schedule after = switch (schedule) {
            case CONSTANT -> Schedule.constant(peak);
            case LINEAR -> Schedule.linear(peak, falling);
            case COSINE -> Schedule.cosine(peak, falling);
        };
        return new Trainer.Options(
                total, accumulate, after.withWarmup(rising), optimizer.settings(seed), seed, adapterDrop, cudaGraph);
    }

    private RunSettings settings(Method method) throws IOException {
        return optimizer
                .in(new RunSettings())
                .with("--model", model.folder.toAbsolutePath().normalize())
                .with("--data", text.data.toAbsolutePath().normalize())
                .with("text of --data:", Fingerprint.of(text.data))
                .with("--method", method.name())
                .with(method.reads(methodOptions))
                .with("--from-scratch", fromScratch)
                .with("--epochs", epochs)
                .with("--steps", steps)
                .with("--batch", text.batch)
                .with("--length", text.length)
                .with("--rows", text.rows())
                .with("--pack", text.pack)
                .with("--too-long", text.tooLong)
                .with("--adapter-drop", adapterDrop)
                .with("--accumulate", accumulate)
                .with("--lr", rate)
                .with("--schedule", schedule)
                .with("--warmup", warmup)
                .with("--dtype", model.dtype)
                .with("--quantize", model.quantize)
                .with("--seed", seed);
    }

    private void describe(Method method, OpenModel opened, int examples, long total) {
        out().note(
                        "%s of %s: %s of %s parameters, %d rows of %d tokens, %d steps, %s%s%s",
                        method.title(),
                        model.folder,
                        Units.count(opened.trainedParameters()),
                        Units.count(opened.parameters()),
                        examples,
                        text.length,
                        total,
                        model.dtype.toString().toLowerCase(Locale.ROOT),
                        model.quantize == Quantization.NONE ? "" : " over " + model.quantize,
                        model.device.isCpu() ? "" : " on " + model.device);
        opened.remark(out());
        opened.remarkLength(out(), "--length", text.length);
        out().event(
                        "start",
                        "method",
                        method.name(),
                        "model",
                        model.folder.toString(),
                        "parameters",
                        opened.parameters(),
                        "trained_parameters",
                        opened.trainedParameters(),
                        "blocks",
                        examples,
                        "length",
                        text.length,
                        "batch",
                        text.batch,
                        "accumulate",
                        accumulate,
                        "steps",
                        total,
                        "dtype",
                        model.dtype.toString(),
                        "quantize",
                        model.quantize.toString(),
                        "device",
                        model.device.toString());
    }
}
