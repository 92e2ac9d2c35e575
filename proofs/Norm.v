(** RMSNorm as an identity (docs/walkthroughs/rmsnorm.md): a constant so large that all else is absorbed.

    Of the squares, m are 2^80 exactly and the others are small, not negative, and sum to at most 2^55. Then every
    bracketing of their float sum, of fewer than 2^22 terms, is m 2^80 exactly. Divided by the width, with epsilon added,
    it is a power of four, whose reciprocal root is assumed to come out exactly; and scaling by powers of two is exact. *)

From Coq Require Import Reals ZArith Psatz.
From Flocq Require Import Core Mult_error.
Require Import Floats.

Open Scope R_scope.

Notation "2^ e" := (bpow radix2 e) (at level 30, format "2^ e").

(** A bracketing of the sum of squares: large ones and small ones. *)
Inductive tree : Type :=
| Large : tree
| Small : R -> tree
| Node : tree -> tree -> tree.

Fixpoint fvalue (t : tree) : R :=
  match t with
  | Large => 2^80
  | Small x => x
  | Node l r => fadd (fvalue l) (fvalue r)
  end.

Fixpoint larges (t : tree) : Z :=
  match t with Large => 1 | Small _ => 0 | Node l r => larges l + larges r end.

Fixpoint smalls (t : tree) : R :=
  match t with Large => 0 | Small x => x | Node l r => smalls l + smalls r end.

Fixpoint terms (t : tree) : Z :=
  match t with Node l r => terms l + terms r | _ => 1 end.

Fixpoint not_negative (t : tree) : Prop :=
  match t with Large => True | Small x => 0 <= x | Node l r => not_negative l /\ not_negative r end.

Lemma larges_nonneg : forall t, (0 <= larges t)%Z.
Proof. induction t; simpl; lia. Qed.

Lemma terms_positive : forall t, (1 <= terms t)%Z.
Proof. induction t; simpl; lia. Qed.

Lemma larges_le_terms : forall t, (larges t <= terms t)%Z.
Proof. induction t; simpl; lia. Qed.

Lemma smalls_nonneg : forall t, not_negative t -> 0 <= smalls t.
Proof. induction t; simpl; intros; try lra; intuition; lra. Qed.

(** One rounding below 2^56 is off by at most 2^31. *)
Lemma rounding_error : forall x, 0 <= x < 2^56 -> Rabs (rnd x - x) <= 2^31.
Proof.
  intros x [Hx Hx'].
  eapply Rle_trans; [apply error_le_half_ulp; typeclasses eauto |].
  apply Rle_trans with (/ 2 * 2^32).
  - apply Rmult_le_compat_l; [lra |].
    destruct (Req_dec x 0) as [-> | Hne].
    + rewrite ulp_FLT_0 by typeclasses eauto; apply bpow_le; unfold emin; lia.
    + rewrite ulp_neq_0 by exact Hne; apply bpow_le; unfold cexp, FLT_exp.
      assert (mag radix2 x <= 56)%Z by (apply mag_le_bpow; [exact Hne | rewrite Rabs_pos_eq; lra]).
      unfold prec, emin; lia.
  - replace 32%Z with (31 + 1)%Z by lia; rewrite bpow_plus; simpl (2^1); lra.
Qed.

Lemma rnd_nonneg : forall x, 0 <= x -> 0 <= rnd x.
Proof.
  intros x H; rewrite <- (rnd_format 0 format_0); unfold rnd; apply round_le; [typeclasses eauto .. | exact H].
Qed.

(** Without a large term, the float sum stays below 2^56. *)
Lemma small_sum : forall t, larges t = 0%Z -> not_negative t -> (terms t <= 2 ^ 22)%Z -> smalls t <= 2^55 ->
  0 <= fvalue t <= smalls t + IZR (terms t - 1) * 2^31.
Proof.
  assert (B : 2^55 + IZR (2 ^ 22) * 2^31 < 2^56).
  { change (IZR (2 ^ 22)) with (2^22); rewrite <- bpow_plus; change (22 + 31)%Z with 53%Z.
    replace 56%Z with (53 + 3)%Z by lia; replace 55%Z with (53 + 2)%Z by lia; rewrite !bpow_plus.
    generalize (bpow_gt_0 radix2 53); simpl (2^2); simpl (2^3); lra. }
  assert (P : 0 < 2^31) by apply bpow_gt_0.
  induction t as [| x | l IHl r IHr]; cbn [larges not_negative terms smalls fvalue]; intros L N T S.
  - discriminate.
  - split; [exact N | simpl (1 - 1)%Z; lra].
  - destruct N as [Nl Nr].
    generalize (larges_nonneg l) (larges_nonneg r) (terms_positive l) (terms_positive r); intros.
    generalize (smalls_nonneg l Nl) (smalls_nonneg r Nr); intros.
    destruct IHl as [l0 l1]; [lia | exact Nl | lia | lra |].
    destruct IHr as [r0 r1]; [lia | exact Nr | lia | lra |].
    assert (C : IZR (terms l - 1) + IZR (terms r - 1) = IZR (terms l + terms r - 1) - 1).
    { rewrite <- plus_IZR, <- minus_IZR; f_equal; lia. }
    assert (D : IZR (terms l + terms r - 1) <= IZR (2 ^ 22)) by (apply IZR_le; lia).
    assert (M : fvalue l + fvalue r <= smalls l + smalls r + (IZR (terms l + terms r - 1) - 1) * 2^31) by nra.
    assert (U : fvalue l + fvalue r < 2^56) by nra.
    unfold fadd; split; [apply rnd_nonneg; lra |].
    generalize (rounding_error (fvalue l + fvalue r)); intros E.
    assert (E' := E (conj (Rplus_le_le_0_compat _ _ l0 r0) U)); apply Rabs_le_inv in E'; nra.
Qed.

(** m 2^80 is a float, and what is added to it below 2^56 is absorbed. *)
Lemma large_format : forall m, (0 <= m <= 2 ^ 24)%Z -> format (IZR m * 2^80).
Proof.
  intros m Hm; destruct (Z.eq_dec m (2 ^ 24)) as [-> | Hne].
  - change (IZR (2 ^ 24)) with (2^24); rewrite <- bpow_plus; apply generic_format_bpow; unfold FLT_exp, emin, prec; lia.
  - apply generic_format_FLT; exists (Float radix2 m 80); [reflexivity | | unfold emin; simpl; lia].
    change (Z.abs m < 2 ^ 24)%Z; lia.
Qed.

(** What is less than half a spacing above a positive float rounds back to it. *)
Lemma absorbed_below_half : forall f s, format f -> 0 < f -> 0 <= s -> 2 * s < ulp radix2 (FLT_exp emin prec) f ->
  rnd (f + s) = f.
Proof.
  intros f s Hf Pf Hs0 U.
  assert (Ge : f <= rnd (f + s)).
  { rewrite <- (rnd_format f Hf) at 1; unfold rnd; apply round_le; [typeclasses eauto .. | lra]. }
  destruct (Rle_lt_or_eq_dec _ _ Ge) as [Lt | Eq]; [exfalso | now symmetry].
  assert (F : format (rnd (f + s))) by (apply generic_format_round; typeclasses eauto).
  assert (Succ : succ radix2 (FLT_exp emin prec) f <= rnd (f + s)) by (apply succ_le_lt; auto; typeclasses eauto).
  rewrite succ_eq_pos in Succ by lra.
  destruct (round_N_pt radix2 (FLT_exp emin prec) (fun x => negb (Z.even x)) (f + s)) as [_ Near].
  assert (N := Near f Hf).
  change (round radix2 (FLT_exp emin prec) (Znearest (fun x => negb (Z.even x))) (f + s)) with (rnd (f + s)) in N.
  replace (f - (f + s)) with (- s) in N by ring; rewrite Rabs_Ropp, (Rabs_pos_eq s) in N by exact Hs0.
  apply Rabs_le_inv in N; lra.
Qed.

Lemma absorbed : forall f s, format f -> 2^80 <= f -> 0 <= s < 2^56 -> rnd (f + s) = f.
Proof.
  intros f s Hf Hf80 [Hs0 Hs].
  assert (Pf : 0 < f) by (eapply Rlt_le_trans; [apply (bpow_gt_0 radix2 80) | exact Hf80]).
  apply absorbed_below_half; [exact Hf | exact Pf | exact Hs0 |].
  apply Rlt_le_trans with (2^57).
  - replace (2^57) with (2 * 2^56) by (change 57%Z with (1 + 56)%Z; rewrite bpow_plus; reflexivity); lra.
  - rewrite ulp_neq_0 by lra; apply bpow_le; unfold cexp, FLT_exp.
    assert (80 < mag radix2 f)%Z by (apply mag_gt_bpow; rewrite Rabs_pos_eq; lra).
    unfold prec, emin; lia.
Qed.

(** Any order of summation gives m 2^80. *)
Theorem sum_of_squares : forall t, (1 <= larges t)%Z -> not_negative t -> (terms t <= 2 ^ 22)%Z -> smalls t <= 2^55 ->
  fvalue t = IZR (larges t) * 2^80.
Proof.
  assert (B : 2^55 + IZR (2 ^ 22) * 2^31 < 2^56).
  { change (IZR (2 ^ 22)) with (2^22); rewrite <- bpow_plus; change (22 + 31)%Z with 53%Z.
    replace 56%Z with (53 + 3)%Z by lia; replace 55%Z with (53 + 2)%Z by lia; rewrite !bpow_plus.
    generalize (bpow_gt_0 radix2 53); simpl (2^2); simpl (2^3); lra. }
  assert (P : 0 < 2^31) by apply bpow_gt_0.
  assert (Low : forall u, larges u = 0%Z -> not_negative u -> (terms u <= 2 ^ 22)%Z -> smalls u <= 2^55 ->
                0 <= fvalue u < 2^56).
  { intros u L N T S; destruct (small_sum u L N T S) as [u0 u1]; split; [exact u0 |].
    assert (D : IZR (terms u - 1) <= IZR (2 ^ 22)) by (apply IZR_le; lia); nra. }
  assert (Big : forall m, (1 <= m)%Z -> 2^80 <= IZR m * 2^80).
  { intros m Hm; apply IZR_le in Hm; generalize (bpow_gt_0 radix2 80); nra. }
  induction t as [| x | l IHl r IHr]; cbn [larges not_negative terms smalls fvalue]; intros L N T S.
  - symmetry; apply Rmult_1_l.
  - lia.
  - destruct N as [Nl Nr].
    generalize (larges_nonneg l) (larges_nonneg r) (terms_positive l) (terms_positive r)
      (larges_le_terms l) (larges_le_terms r); intros.
    generalize (smalls_nonneg l Nl) (smalls_nonneg r Nr); intros.
    unfold fadd; destruct (Z.eq_dec (larges l) 0) as [Zl | Pl]; [| destruct (Z.eq_dec (larges r) 0) as [Zr | Pr]].
    + rewrite IHr by (auto; try lia; lra); rewrite Zl, Z.add_0_l, Rplus_comm.
      apply absorbed; [apply large_format; lia | apply Big; lia | apply Low; auto; try lia; lra].
    + rewrite IHl by (auto; try lia; lra); rewrite Zr, Z.add_0_r.
      apply absorbed; [apply large_format; lia | apply Big; lia | apply Low; auto; try lia; lra].
    + rewrite IHl, IHr by (auto; try lia; lra); rewrite <- Rmult_plus_distr_r, <- plus_IZR.
      apply rnd_format, large_format; lia.
Qed.

(** The mean over d = m 4^j entries, with epsilon, is (2^(40-j))^2: what is below half a spacing is absorbed. *)
Theorem mean_of_squares : forall j epsilon, (0 <= j <= 11)%Z -> 0 <= epsilon -> epsilon * 2^(2 * j) < 2^56 ->
  fadd (2^(80 - 2 * j)) epsilon = 2^(80 - 2 * j).
Proof.
  intros j e Hj He Hs; unfold fadd.
  set (f := 2^(80 - 2 * j)).
  assert (Hf : format f) by (apply generic_format_bpow; unfold FLT_exp, emin, prec; lia).
  assert (Pf : 0 < f) by apply bpow_gt_0.
  assert (Small : e < 2^(56 - 2 * j)).
  { replace (56 - 2 * j)%Z with (56 + - (2 * j))%Z by lia; rewrite bpow_plus.
    apply Rmult_lt_reg_r with (2^(2 * j)); [apply bpow_gt_0 |].
    rewrite Rmult_assoc, <- bpow_plus, Z.add_opp_diag_l; simpl (2^0); lra. }
  assert (U : ulp radix2 (FLT_exp emin prec) f = 2 * 2^(56 - 2 * j)).
  { unfold f; rewrite ulp_bpow; unfold FLT_exp, emin, prec.
    replace (Z.max _ _) with (1 + (56 - 2 * j))%Z by lia; rewrite bpow_plus; reflexivity. }
  apply absorbed_below_half; [exact Hf | exact Pf | exact He | rewrite U; lra].
Qed.

(** Multiplying by the reciprocal root and by the norm's weight gives a feature back, if it is 0 or not too small. *)
Theorem identity : forall j x, (0 <= j <= 11)%Z -> format x -> x = 0 \/ 2^(-86 - j) <= Rabs x ->
  fmul (fmul x (2^(j - 40))) (2^(40 - j)) = x.
Proof.
  intros j x Hj Hx Hs; unfold fmul.
  assert (Hy : format (x * 2^(j - 40))).
  { destruct Hs as [-> | Hs]; [rewrite Rmult_0_l; apply format_0 |].
    apply mult_bpow_exact_FLT; [exact Hx |].
    assert (-86 - j < mag radix2 x)%Z by now apply mag_gt_bpow.
    unfold emin, prec; lia. }
  rewrite (rnd_format _ Hy), Rmult_assoc, <- bpow_plus.
  replace (j - 40 + (40 - j))%Z with 0%Z by lia; simpl (2^0); rewrite Rmult_1_r; now apply rnd_format.
Qed.

Print Assumptions sum_of_squares.
