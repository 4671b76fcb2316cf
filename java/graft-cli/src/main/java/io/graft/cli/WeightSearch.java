package io.graft.cli;

import java.util.Arrays;
import java.util.function.ToDoubleFunction;
import org.hipparchus.exception.MathIllegalStateException;
import org.hipparchus.optim.InitialGuess;
import org.hipparchus.optim.MaxEval;
import org.hipparchus.optim.SimpleBounds;
import org.hipparchus.optim.nonlinear.scalar.GoalType;
import org.hipparchus.optim.nonlinear.scalar.ObjectiveFunction;
import org.hipparchus.optim.nonlinear.scalar.noderiv.CMAESOptimizer;
import org.hipparchus.random.Well19937a;

/**
 * The search of LoRAHub (arXiv 2307.13269, section 3.4): weights within ±1.5 for which a loss and 0.05 times their mean
 * size are least, found without gradients by CMA-ES from zero on.
 */
final class WeightSearch {
    static final double BOUND = 1.5;
    static final double PENALTY = 0.05;

    /** Standard deviation of the first steps. */
    private static final double SPREAD = 0.5;

    private final ToDoubleFunction<double[]> loss;
    private double[] best;
    private double least = Double.POSITIVE_INFINITY;

    private WeightSearch(ToDoubleFunction<double[]> loss) {
        this.loss = loss;
    }

    /** The best of so many weights; the same ones for the same seed. */
    static double[] run(int count, int evaluations, long seed, ToDoubleFunction<double[]> loss) {
        WeightSearch search = new WeightSearch(loss);
        double[] zero = new double[count];
        double[] lower = new double[count];
        double[] upper = new double[count];
        double[] spread = new double[count];
        Arrays.fill(lower, -BOUND);
        Arrays.fill(upper, BOUND);
        Arrays.fill(spread, SPREAD);
        int population = 4 + (int) (3 * Math.log(count));
        CMAESOptimizer optimizer = new CMAESOptimizer(
                Integer.MAX_VALUE, Double.NEGATIVE_INFINITY, true, 0, 1, new Well19937a(seed), false, null);
        try {
            optimizer.optimize(
                    new MaxEval(evaluations),
                    new ObjectiveFunction(search::value),
                    GoalType.MINIMIZE,
                    new CMAESOptimizer.Sigma(spread),
                    new CMAESOptimizer.PopulationSize(population),
                    new InitialGuess(zero),
                    new SimpleBounds(lower, upper));
        } catch (MathIllegalStateException spent) {
            // why: this is how the optimiser says that all evaluations are used.
            if (search.best == null) {
                throw spent;
            }
        }
        return search.best;
    }

    private double value(double[] weights) {
        double size = 0;
        for (double weight : weights) {
            size += Math.abs(weight);
        }
        double value = loss.applyAsDouble(weights) + PENALTY * size / weights.length;
        if (value < least) {
            least = value;
            best = weights.clone();
        }
        return value;
    }
}
