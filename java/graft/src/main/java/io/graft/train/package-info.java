/** Training: optimiser, schedules, the loop, and checkpoints that resume bit for bit. */
package io.graft.train;
