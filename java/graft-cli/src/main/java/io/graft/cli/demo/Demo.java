package io.graft.cli.demo;

import io.graft.cli.Method;
import io.graft.cli.MethodOptions;
import io.graft.cli.OpenModel;
import io.graft.cli.Output;
import io.graft.cli.Quantization;
import io.graft.cli.TextStream;
import io.graft.cli.Units;
import io.graft.cli.compare.Comparison;
import io.graft.cli.compare.Field;
import io.graft.cli.compare.Report;
import io.graft.cli.compare.Result;
import io.graft.model.Generator;
import io.graft.model.Sampling;
import io.graft.tensor.Weight;
import io.graft.train.BatchSource;
import java.io.IOException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * The main job from end to end: get the sources, train or take the base model, fine-tune it with every method in turns on
 * the same batches, compare, report.
 *
 * <p>The clock decides how many steps there are, so a faster machine makes more; {@code --base-steps} and
 * {@code --steps} fix them, and then the same command gives the same losses everywhere.
 */
public final class Demo {
    private static final double BASE_SHARE = 0.5;
    private static final double BASE_LIMIT = 0.6;
    private static final int STEPS_MOST = 200;
    private static final int STEPS_LEAST = 10;

    /** why: evaluation, samples and report take time too; so much of the rest is kept for them. */
    private static final double RESERVE = 0.7;

    private static final double LIMIT = 0.85;

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
        try (DemoText text = new DemoText(settings.cache(), out::note)) {
            out.note("     %s", text.describe());
            BaseModel base = new BaseModel(settings, text);
            Result baseResult = base(base);
            List<Result> results = methods(base, text);
            report(base, text, baseResult, results);
        }
    }

    private Result base(BaseModel base) throws IOException {
        if (base.cached() && !settings.fresh()) {
            out.note("2/4  base model: taken from %s (--fresh trains it again)", base.folder());
            return base.result();
        }
        out.note("2/4  base model: training from scratch on main sources, %s", settings.precision());
        return base.train(out, left() * BASE_SHARE, left() * BASE_LIMIT);
    }

    private List<Result> methods(BaseModel base, DemoText text) throws IOException {
        List<Method> methods = Method.all(Weight.Kind.DENSE, Quantization.NONE);
        out.note("3/4  fine-tuning on unit tests: %d methods in turns", methods.size());
        MethodOptions options = new MethodOptions().withBaseModel(base.folder());
        try (Field field = new Field(settings::openContext, base::open, settings.seed())) {
            for (Method method : methods) {
                BatchSource source = text.testBatches(settings.seed());
                field.add(method, options, source, DemoText.TOKENS);
            }
            field.contenders().forEach(contender -> contender.model().remark(out));
            Comparison comparison = new Comparison(out, field.contenders(), text.testValidation(), () -> false);
            List<Result> results = settings.steps() == null
                    ? comparison.run(left() * RESERVE, left() * LIMIT, STEPS_LEAST, STEPS_MOST)
                    : comparison.run(settings.steps());
            for (int i = 0; i < methods.size(); i++) {
                OpenModel model = field.contenders().get(i).model();
                Path folder = settings.out().resolve(methods.get(i).name());
                methods.get(i).save(model.llama(), folder);
                text.writeTokenizer(folder);
                samples.put(methods.get(i).title(), sample(model, text));
            }
            return results;
        }
    }

    private String sample(OpenModel model, DemoText text) {
        model.llama().release();
        TextStream stream = new TextStream(tokens -> text.tokenizer().decode(tokens, true));
        try (Generator generator = new Generator(model.llama())) {
            Sampling sampling = new Sampling(0.7, 0, 0.9, settings.seed());
            generator.generate(text.tokenizer().encode(PROMPT, true), SAMPLE_TOKENS, sampling, token -> {
                stream.add(token);
                return !model.config().eosIds().contains(token);
            });
        }
        return PROMPT + stream.text();
    }

    private void report(BaseModel base, DemoText text, Result baseResult, List<Result> results) throws IOException {
        out.note("4/4  report");
        Report report = new Report(out, settings.out(), "Graft demo")
                .fact("compute type", settings.precision().toString())
                .fact("text", text.describe())
                .fact("batch", DemoText.BATCH + " rows of " + DemoText.LENGTH + " tokens")
                .fact("base model", base.folder().toString())
                .fact("time", Units.duration(elapsed()))
                .losses("losses.png", "Fine-tuning on the unit tests of Apache Commons", results)
                .losses("base-losses.png", "Base model, from scratch on the main sources", List.of(baseResult));
        samples.forEach(report::sample);
        report.write(Stream.concat(Stream.of(baseResult), results.stream()).toList(), results);
        out.say("validation loss in nats per token; the base model's is on main sources, the others' on unit tests");
        out.say("time %s", Units.duration(elapsed()));
        out.say("");
        out.say(
                "go on with: graft generate --model %s --adapter %s --prompt '%s'",
                base.folder(), settings.out().resolve("lora"), "@Test public void test");
    }

    private double elapsed() {
        return (System.nanoTime() - started) * 1e-9;
    }

    private double left() {
        return Math.max(0, settings.minutes() * 60 - elapsed());
    }
}
