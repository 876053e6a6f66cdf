"""The columns that every run has, defined once.

All are measured at the weights before the step; gradients are those of loss plus penalty, before clipping. In a `log10_`
column -inf is an exact zero; null means that the quantity does not exist there.
"""

from __future__ import annotations

from gradyn.core import Column


def _layer(name: str, unit: str, label: str, definition: str) -> Column:
    return Column(name, unit, definition, "layer", label)


def _step(name: str, unit: str, label: str, definition: str) -> Column:
    return Column(name, unit, definition, "step", label)


LAYER_COLUMNS: tuple[Column, ...] = (
    _layer(
        "log10_grad_w_l2",
        "log10 of [loss / weight]",
        r"$\log_{10}\,\|\partial L/\partial W_l\|$",
        "log10 of the Frobenius norm of dL/dW_l; in a recurrent net of step t's share of dL/d(W_ih, W_hh)",
    ),
    _layer(
        "log10_grad_b_l2",
        "log10 of [loss / bias]",
        r"$\log_{10}\,\|\partial L/\partial b_l\|$",
        "log10 of the Euclidean norm of dL/db_l; in a recurrent net of step t's share",
    ),
    _layer(
        "log10_delta_rms",
        "log10 of [loss / preactivation]",
        r"$\log_{10}\,\mathrm{rms}\;\delta_l$",
        "log10 of the root mean square, over batch and units, of d loss_b / d h_l, loss_b the loss of one sample (with batch norm: of the summed loss); "
        "in a recurrent net by the state h_t after step t",
    ),
    _layer(
        "log10_delta_cell_rms",
        "log10 of [loss / cell]",
        r"$\log_{10}\,\mathrm{rms}\;\partial L/\partial c_t$",
        "log10 of the root mean square, over batch and units, of d loss_b / d c_t, with what arrives through h_t; null but in an LSTM's steps",
    ),
    _layer(
        "log10_gate_path_rms",
        "log10 of [loss / cell]",
        r"$\log_{10}\,\mathrm{rms}$ along the gates",
        "log10 of the root mean square of d loss_b / d c_T times the forget gates of steps t + 1 ... T (GRU: d loss_b / d h_T, update gates); null elsewhere",
    ),
    _layer("log10_act_rms", "log10 of [activation]", r"$\log_{10}\,\mathrm{rms}\;x_l$", "log10 of the root mean square of x_l over batch and units"),
    _layer("act_mean", "activation", r"mean $x_l$", "mean of x_l over batch and units"),
    _layer("act_std", "activation", r"std $x_l$", "standard deviation of x_l over batch and units, divided by the count"),
    _layer("preact_std", "preactivation", r"std $h_l$", "standard deviation of h_l over batch and units, divided by the count"),
    _layer("saturated_fraction", "share", "saturated share", "share of batch and units with |phi'| < 0.05 max|phi'|; null where phi is linear"),
    _layer("zero_fraction", "share", r"share of $\phi = 0$", "share of batch and units with phi(z) == 0; null where phi is linear"),
    _layer("zero_derivative_fraction", "share", r"share of $\phi' = 0$", "share of batch and units with phi' == 0; null where phi is linear"),
    _layer(
        "log10_gain_weight",
        "decades per layer",
        r"weight gain $\|W^\top\delta\|/\|\delta\|$ [decades]",
        "log10 ||W_l^T delta_l|| - log10 ||delta_l||, norms over batch and units; null in layer 1, nan where delta_l is exactly 0",
    ),
    _layer(
        "log10_gain_derivative",
        "decades per layer",
        r"derivative gain $\|\delta_{l-1}\|/\|W^\top\delta\|$ [decades]",
        "log10 ||delta_{l-1}|| - log10 ||W_l^T delta_l||: phi', and norm and skip where there are any; null in layer 1",
    ),
    _layer("weight_l2", "weight", r"$\|W_l\|_F$", "Frobenius norm of W_l"),
    _layer("weight_spectral", "weight", r"$\|W_l\|_2$", "largest singular value of W_l; at the first measured step, null after, and with log.spectral=false"),
    _layer(
        "log10_update_ratio",
        "log10 of a ratio",
        r"$\log_{10}\,\|\Delta W_l\|/\|W_l\|$",
        "log10 of ||W_after - W_before|| / ||W_before||; null with steps=0",
    ),
)

STEP_COLUMNS: tuple[Column, ...] = (
    _step("loss", "loss", "loss", "mean over the batch of loss_b, without the penalty"),
    _step("accuracy", "share", "accuracy", "share of the batch whose largest output is the label's; null without labels"),
    _step("log10_grad_l2", "log10 of [loss / parameter]", r"$\log_{10}\,\|\nabla L\|$", "log10 of the norm of all parameters' gradients together"),
    _step("clip_scale", "ratio", "clip scale", "norm of the gradient after clipping over the norm before"),
    _step("clip_cosine", "cosine", "cosine of clipping", "between the gradient before clipping and after; nan where one is 0 or not finite"),
)
