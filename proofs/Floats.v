(** Floats as real numbers: radix 2, 24 bits, least exponent -149 (float32 with subnormals; the range is not bounded
    above here, each lemma bounds what it computes). -0 and +0 are one number, as they are in the documentation. *)

From Coq Require Import Reals ZArith Psatz.
From Flocq Require Import Core.

Open Scope R_scope.

Definition emin : Z := -149.
Definition prec : Z := 24.
Definition format : R -> Prop := generic_format radix2 (FLT_exp emin prec).
Definition rnd : R -> R := round radix2 (FLT_exp emin prec) ZnearestE.

#[global] Instance prec_positive : Prec_gt_0 prec.
Proof. unfold Prec_gt_0, prec; lia. Qed.

(** What a float sum and a float product are. *)
Definition fadd (x y : R) : R := rnd (x + y).
Definition fmul (x y : R) : R := rnd (x * y).

Lemma rnd_format : forall x, format x -> rnd x = x.
Proof. intros x H; apply round_generic; [apply valid_rnd_N | exact H]. Qed.

Lemma format_0 : format 0.
Proof. apply generic_format_0. Qed.

Lemma format_1 : format 1.
Proof.
  change 1 with (bpow radix2 0); apply generic_format_bpow.
  unfold FLT_exp, emin, prec; lia.
Qed.

Lemma format_opp : forall x, format x -> format (- x).
Proof. intros; now apply generic_format_opp. Qed.
