package io.graft.cli.demo;

import io.graft.cli.Machine;
import io.graft.cli.Method;
import io.graft.cli.MethodOptions;
import io.graft.cli.OpenModel;
import io.graft.cli.Output;
import io.graft.cli.TextStream;
import io.graft.cli.Units;
import io.graft.model.Generator;
import io.graft.model.Llama;
import io.graft.tensor.Context;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The main job from end to end: get the sources, train or take the base model, fine-tune it with every method for the
 * same number of steps on the same batches, compare, report.
 *
 * <p>The clock decides how many steps there are, so a faster machine makes more; {@code --base-steps} and
 * {@code --steps} fix them, and then the same command gives the same losses everywhere.
 */
public final class Demo {
    private static final double BASE_SHARE = 0.5;
    private static final double BASE_LIMIT = 0.6;
    private static final int BASE_STEPS_MOST = 600;
    private static final int METHOD_STEPS_MOST = 200;
    private static final int STEPS_LEAST = 10;

    /** why: loading, evaluation, samples and report take time too; so much of the rest is kept for them. */
    private static final double RESERVE = 0.8;

    private static final String PROMPT = "    @Test\n    public void test";
    private static final int SAMPLE_TOKENS = 80;

    private final DemoSettings settings;
    private final Output out;
    private final long started = System.nanoTime();
    private final Map<String, String> samples = new LinkedHashMap<>();

    public Demo(DemoSettings settings, Output out) {
        this.settings = settings;
        this.out = out;
    }

    /** Does all of it; the results are on stdout and in the output folder. */
    public void run() throws IOException {
        out.note("1/4  sources of Apache Commons");
        try (DemoText text = new DemoText(settings.cache())) {
            out.note("     %s", text.describe());
            BaseModel base = new BaseModel(settings, text);
            DemoResult baseResult = base(base);
            List<DemoResult> results = methods(base, text);
            report(base, text, baseResult, results);
        }
    }

    private DemoResult base(BaseModel base) throws IOException {
        if (base.cached() && !settings.fresh()) {
            out.note("2/4  base model: taken from %s (--fresh trains it again)", base.folder());
            DemoResult result = base.result();
            event("base", result, "cached", true);
            return result;
        }
        out.note("2/4  base model: training from scratch on main sources, %s", settings.precision());
        DemoResult result = base.train(
                out,
                left() * BASE_LIMIT,
                seconds -> StepPlan.fitting(left() * BASE_SHARE, seconds, STEPS_LEAST, BASE_STEPS_MOST));
        event("base", result, "cached", false);
        return result;
    }

    private List<DemoResult> methods(BaseModel base, DemoText text) throws IOException {
        long steps = settings.steps() != null ? settings.steps() : steps(base, text);
        out.note(
                "3/4  fine-tuning on unit tests: %d methods, %d steps each",
                Method.all().size(), steps);
        List<DemoResult> results = new ArrayList<>();
        for (Method method : Method.all()) {
            DemoResult result = method(base, text, method, steps, Method.all().size() - results.size());
            results.add(result);
            if (result.steps() < steps) {
                out.note("     steps became slower than measured: %d each instead of %d", result.steps(), steps);
                steps = result.steps();
            }
        }
        return results;
    }

    private DemoResult method(BaseModel base, DemoText text, Method method, long steps, int methodsLeft)
            throws IOException {
        try (Context context = settings.openContext();
                OpenModel model = open(context, base, method)) {
            TrainingRun run = training(model, method, text);
            if (settings.steps() == null) {
                run.until(left() * RESERVE / methodsLeft);
            }
            DemoResult result = run.train(method.title(), text.testValidation(), steps);
            Path folder = settings.out().resolve(method.name());
            method.save(model.llama(), folder);
            text.writeTokenizer(folder);
            samples.put(method.title(), sample(model, text));
            event("method", result, "name", method.name());
            return result;
        }
    }

    /** Steps of each method so that all of them together fit into the time that is left. */
    private long steps(BaseModel base, DemoText text) {
        double sum = 0;
        for (Method method : Method.all()) {
            try (Context context = settings.openContext();
                    OpenModel model = open(context, base, method)) {
                sum += training(model, method, text).secondsPerStep();
            }
        }
        return StepPlan.fitting(left() * RESERVE, sum, STEPS_LEAST, METHOD_STEPS_MOST);
    }

    private OpenModel open(Context context, BaseModel base, Method method) {
        MethodOptions options = new MethodOptions().withBaseModel(base.folder());
        return OpenModel.open(
                context,
                base.folder(),
                settings.precision().dtype(),
                Llama.Options.training(method.create().apply(options, settings.seed())));
    }

    private TrainingRun training(OpenModel model, Method method, DemoText text) {
        return new TrainingRun(
                out, model, text.testBatches(settings.seed()), DemoText.TOKENS, method.learningRate(), settings.seed());
    }

    private String sample(OpenModel model, DemoText text) {
        model.llama().release();
        TextStream stream = new TextStream(tokens -> text.tokenizer().decode(tokens, true));
        try (Generator generator = new Generator(model.llama())) {
            Generator.Sampling sampling = new Generator.Sampling(0.7, 0, 0.9, settings.seed());
            generator.generate(text.tokenizer().encode(PROMPT, true), SAMPLE_TOKENS, sampling, token -> {
                stream.add(token);
                return !model.config().eosIds().contains(token);
            });
        }
        return PROMPT + stream.text();
    }

    private void report(BaseModel base, DemoText text, DemoResult baseResult, List<DemoResult> results)
            throws IOException {
        out.note("4/4  report");
        Files.createDirectories(settings.out());
        DemoTable table = new DemoTable(baseResult, results);
        Path picture = settings.out().resolve("losses.png");
        Path basePicture = settings.out().resolve("base-losses.png");
        try {
            LossChart.write(picture, "Fine-tuning on the unit tests of Apache Commons", results);
            LossChart.write(basePicture, "Base model, from scratch on the main sources", List.of(baseResult));
        } catch (IOException failure) {
            out.note("     no pictures: %s", failure.getMessage());
        }
        Map<String, String> facts = new LinkedHashMap<>();
        facts.put("processor", Machine.processor() + ", " + Machine.processors() + " cores");
        facts.put("memory of the machine", Units.bytes(Machine.totalMemory()));
        facts.put("compute type", settings.precision().toString());
        facts.put("text", text.describe());
        facts.put("batch", DemoText.BATCH + " rows of " + DemoText.LENGTH + " tokens");
        facts.put("base model", base.folder().toString());
        facts.put("peak resident memory of the process", Units.bytes(Machine.peakResidentMemory()));
        facts.put("time", Units.duration(elapsed()));
        Path html = settings.out().resolve("report.html");
        HtmlReport.write(html, facts, table.header(), table.rows(), List.of(picture, basePicture), samples);
        out.say("");
        out.say("%s", table.text());
        out.say("validation loss in nats per token; the base model's is on main sources, the others' on unit tests");
        out.say(
                "time %s, peak resident memory %s",
                Units.duration(elapsed()), Units.bytes(Machine.peakResidentMemory()));
        out.say("report: %s", html);
        out.say("");
        out.say(
                "go on with: graft generate --model %s --adapter %s --prompt '%s'",
                base.folder(), settings.out().resolve("lora"), "@Test public void test");
        out.event(
                "report",
                "file",
                html.toString(),
                "seconds",
                elapsed(),
                "peak_resident_bytes",
                Machine.peakResidentMemory());
    }

    private void event(String kind, DemoResult result, String extra, Object value) {
        out.event(
                kind,
                extra,
                value,
                "title",
                result.name(),
                "trained_parameters",
                result.trainedParameters(),
                "steps",
                result.steps(),
                "ms_per_step",
                result.milliseconds(),
                "tokens_per_second",
                result.tokensPerSecond(),
                "peak_memory_bytes",
                result.peakBytes(),
                "validation_loss_before",
                result.before(),
                "validation_loss_after",
                result.after());
    }

    private double elapsed() {
        return (System.nanoTime() - started) * 1e-9;
    }

    private double left() {
        return Math.max(0, settings.minutes() * 60 - elapsed());
    }
}
