"""Makes golden operators in NumPy float64, from dense matrices that the library never forms: python generate.py [operator]

Needs numpy and safetensors. Inputs are float32 values, results float64. Every value is seeded; two runs give the same
bytes. It makes only the operators that it defines; the other files were made with PyTorch, as README.md says.
"""
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

HERE = Path(__file__).resolve().parent


def values(random, *shape):
    """Values that float32 holds exactly."""
    return random.uniform(-1, 1, shape).astype(np.float32).astype(np.float64)


def write(operator, case, inputs, results):
    folder = HERE / operator
    folder.mkdir(exist_ok=True)
    tensors = {name: np.ascontiguousarray(value, dtype=np.float32) for name, value in inputs.items()}
    tensors.update({name: np.ascontiguousarray(value, dtype=np.float64) for name, value in results.items()})
    path = folder / f"{case}.safetensors"
    save_file(tensors, str(path))
    path.chmod(0o644)


def kronecker_layer():
    for case, (t, m, p, q, high, wide, r) in {
            "low_rank": (7, 1, 4, 3, 5, 6, 2), "whole": (6, 1, 3, 5, 4, 7, None), "sum": (9, 3, 2, 4, 6, 5, 3)}.items():
        random = np.random.default_rng(sum(map(ord, case)))
        n, k, scale = p * high, q * wide, 0.75
        x, w, dy = values(random, t, k), values(random, n, k), values(random, t, n)
        w1 = values(random, m, p, q)
        b = values(random, m, high, r or wide)
        inputs = dict(x=x, w=w, dy=dy, w1=w1, b=b, scale=np.array([scale]))
        w2 = b
        if r:
            inputs["a"] = a = values(random, m, r, wide)
            w2 = b @ a
        d = scale * sum(np.kron(w1[i], w2[i]) for i in range(m))
        dd = dy.T @ x  # the gradient of D
        blocks = dd.reshape(p, high, q, wide)
        dw1 = scale * np.einsum("pjqk,mjk->mpq", blocks, w2)
        dw2 = scale * np.einsum("pjqk,mpq->mjk", blocks, w1)
        results = dict(y=x @ (w + d).T, dx=dy @ (w + d), dw1=dw1, merged=w + d)
        results.update(db=dw2 @ a.transpose(0, 2, 1), da=b.transpose(0, 2, 1) @ dw2) if r else results.update(db=dw2)
        write("kronecker_layer", case, inputs, results)


def loha_layer():
    for case, (t, n, k, r) in {"small": (5, 7, 9, 2), "large": (11, 24, 20, 3)}.items():
        random = np.random.default_rng(sum(map(ord, case)))
        scale = 1.5
        x, w, dy = values(random, t, k), values(random, n, k), values(random, t, n)
        b1, a1, b2, a2 = values(random, n, r), values(random, r, k), values(random, n, r), values(random, r, k)
        d = scale * (b1 @ a1) * (b2 @ a2)
        dd = scale * dy.T @ x
        first, second = dd * (b2 @ a2), dd * (b1 @ a1)  # the gradients of the two products
        write("loha_layer", case, dict(x=x, w=w, dy=dy, b1=b1, a1=a1, b2=b2, a2=a2, scale=np.array([scale])), dict(
            y=x @ (w + d).T, dx=dy @ (w + d), db1=first @ a1.T, da1=b1.T @ first, db2=second @ a2.T, da2=b2.T @ second))


def cayley():
    for terms in (0, 2, 3, 5):
        random = np.random.default_rng(70 + terms)
        d, n = 3, 5
        q, dr = values(random, d, n * (n - 1) // 2), values(random, d, n, n)
        identity, (rows, columns) = np.eye(n), np.triu_indices(n, 1)
        coefficients = [1, 2] if terms == 2 else [1] + [2] * (max(terms, 4) - 2) + [1]

        def rotation(entries):
            skew = np.zeros((d, n, n), entries.dtype)
            skew[:, rows, columns] = entries
            skew -= skew.transpose(0, 2, 1)
            if terms == 0:
                return (identity - skew) @ np.linalg.inv(identity + skew) - identity
            return sum(c * np.linalg.matrix_power(skew, k) for k, c in enumerate(coefficients)) - identity

        dq = np.zeros_like(q)
        for index in np.ndindex(*q.shape):  # a step along the imaginary axis: a derivative without cancellation
            step = q.astype(complex)
            step[index] += 1e-30j
            dq[index] = (dr * rotation(step).imag).sum() / 1e-30
        write("cayley", f"terms_{terms}", dict(q=q, dr=dr, terms=np.array([terms])), dict(r=rotation(q), dq=dq))


def block_diagonal():
    for case, (t, d, n, shared) in {"blocks": (6, 4, 5, False), "shared": (7, 3, 6, True),
                                    "ordered": (5, 4, 3, False)}.items():
        random = np.random.default_rng(sum(map(ord, case)))
        x, dy = values(random, t, d * n), values(random, t, d * n)
        r = values(random, 1 if shared else d, n, n)
        inputs, p = dict(x=x, dy=dy, r=r), np.eye(d * n)
        if case == "ordered":
            inputs["columns"] = columns = random.permutation(d * n)
            p = p[:, columns]  # (x p)[:, i] is column columns[i] of x
        m = np.eye(d * n)
        for i in range(d):
            m[i * n:(i + 1) * n, i * n:(i + 1) * n] += r[0 if shared else i]
        dm = (x @ p).T @ (dy @ p)
        dr = np.stack([dm[i * n:(i + 1) * n, i * n:(i + 1) * n] for i in range(d)])
        write("block_diagonal", case, inputs, dict(
            y=x @ p @ m @ p.T, dx=dy @ p @ m.T @ p.T, dr=dr.sum(0, keepdims=True) if shared else dr))


def hira_layer():
    for case, (t, n, k, r) in {"small": (4, 6, 5, 2), "large": (9, 20, 33, 3)}.items():
        random = np.random.default_rng(sum(map(ord, case)))
        x, w, dy = values(random, t, k), values(random, n, k), values(random, t, n)
        a, b = values(random, r, k), values(random, n, r)
        merged = w * (1 + b @ a)
        h = (dy.T @ x) * w
        write("hira_layer", case, dict(x=x, w=w, dy=dy, a=a, b=b), dict(
            y=x @ merged.T, dx=dy @ merged, da=b.T @ h, db=h @ a.T, merged=merged))


def circulant_layer():
    for case, (t, m, n, b) in {"even": (6, 3, 2, 4), "odd": (7, 2, 3, 5)}.items():
        random = np.random.default_rng(sum(map(ord, case)))
        scale = 0.75
        x, w, dy = values(random, t, n * b), values(random, m * b, n * b), values(random, t, m * b)
        kernel = values(random, m, n, b)
        place = (np.arange(b)[None, :] - np.arange(b)[:, None]) % b  # [i, j]
        merged = w + scale * kernel[:, :, place].transpose(0, 2, 1, 3).reshape(m * b, n * b)
        dd = (dy.T @ x).reshape(m, b, n, b)
        dkernel = np.stack([scale * (dd * (place == k)[None, :, None, :]).sum((1, 3)) for k in range(b)], -1)
        write("circulant_layer", case, dict(x=x, w=w, dy=dy, kernel=kernel, scale=np.array([scale])), dict(
            y=x @ merged.T, dx=dy @ merged, dkernel=dkernel, merged=merged))


def fourier_layer():
    for case, (t, n, k, count) in {"small": (4, 6, 8, 5), "prime": (5, 7, 10, 9)}.items():
        random = np.random.default_rng(sum(map(ord, case)))
        scale = 20.0
        x, w, dy, c = values(random, t, k), values(random, n, k), values(random, t, n), values(random, count)
        places = np.stack(np.unravel_index(random.permutation(n * k)[:count], (n, k)))

        def change(weights):
            spectrum = np.zeros((n, k))
            spectrum[places[0], places[1]] = weights
            return scale * np.fft.ifft2(spectrum).real

        d, dd = change(c), dy.T @ x
        dc = np.array([(dd * change(one)).sum() for one in np.eye(count)])
        write("fourier_layer", case, dict(x=x, w=w, dy=dy, c=c, places=places, scale=np.array([scale])), dict(
            y=x @ d.T, dx=dy @ d, dc=dc, merged=w + d))


def gelu():
    for case, (t, h, reach) in {"small": (3, 5, 1), "wide": (4, 37, 6)}.items():
        random = np.random.default_rng(sum(map(ord, case)))
        x, dy = reach * values(random, t, h), values(random, t, h)
        x = x.astype(np.float32).astype(np.float64)
        tanh = np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x ** 3))
        slope = (1 + tanh) / 2 + x / 2 * (1 - tanh ** 2) * np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * x ** 2)
        write("gelu", case, dict(x=x, dy=dy), dict(y=x / 2 * (1 + tanh), dx=dy * slope))


def layer_norm():
    for case, (t, h, offset) in {"small": (3, 5, 0), "far": (7, 33, 8), "wide": (2, 130, 0)}.items():
        random = np.random.default_rng(sum(map(ord, case)))
        eps = 1e-5
        x, w, b, dy = values(random, t, h) + offset, values(random, h), values(random, h), values(random, t, h)
        x = x.astype(np.float32).astype(np.float64)
        m = np.eye(h) - 1 / h  # takes the mean away
        y, dx = np.zeros((t, h)), np.zeros((t, h))
        dw = np.zeros(h)
        for i in range(t):
            c = m @ x[i]
            s = np.sqrt(c @ c / h + np.float64(np.float32(eps)))
            jacobian = np.diag(w) @ (np.eye(h) / s - np.outer(c, c) / (h * s ** 3)) @ m  # of y by x
            y[i], dx[i] = w * c / s + b, jacobian.T @ dy[i]
            dw += dy[i] * c / s
        write("layer_norm", case, dict(x=x, w=w, b=b, dy=dy, eps=np.array([eps])), dict(y=y, dx=dx, dw=dw, db=dy.sum(0)))


OPERATORS = {function.__name__: function for function in (kronecker_layer, loha_layer, cayley, block_diagonal,
                                                      hira_layer, circulant_layer, fourier_layer, gelu, layer_norm)}

if __name__ == "__main__":
    for name in sys.argv[1:] or OPERATORS:
        OPERATORS[name]()
