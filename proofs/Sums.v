(** Dyadic sums are exact in any order (docs/certificates.md, obligation "sums").

    If every term is a multiple of q = 2^e, e at least -149, and the absolute values sum to at most 2^24 q, then every
    bracketing of the terms, in any order, computes their sum in floats without rounding. Every partial result is at
    most the sum of absolute values, so if that is at most the largest float32 nothing overflows. *)

From Coq Require Import Reals ZArith Psatz List Permutation.
From Flocq Require Import Core.
Require Import Floats.
Import ListNotations.

Open Scope R_scope.

(** A bracketing of a sum. *)
Inductive tree : Type :=
| Leaf : R -> tree
| Node : tree -> tree -> tree.

Fixpoint terms (t : tree) : list R :=
  match t with
  | Leaf x => [x]
  | Node l r => terms l ++ terms r
  end.

Fixpoint fvalue (t : tree) : R :=
  match t with
  | Leaf x => x
  | Node l r => fadd (fvalue l) (fvalue r)
  end.

(** Every number that is computed on the way. *)
Fixpoint partials (t : tree) : list R :=
  match t with
  | Leaf x => [x]
  | Node l r => fvalue t :: partials l ++ partials r
  end.

Definition sum (xs : list R) : R := fold_right Rplus 0 xs.
Definition size (xs : list R) : R := sum (map Rabs xs).

(** A multiple of the quantum 2^e. *)
Definition multiple (e : Z) (x : R) : Prop := exists n : Z, x = IZR n * bpow radix2 e.

Lemma sum_app : forall xs ys, sum (xs ++ ys) = sum xs + sum ys.
Proof. induction xs as [| x xs IH]; intros; simpl; [ring | rewrite IH; ring]. Qed.

Lemma size_app : forall xs ys, size (xs ++ ys) = size xs + size ys.
Proof. intros; unfold size; rewrite map_app; apply sum_app. Qed.

Lemma size_nonneg : forall xs, 0 <= size xs.
Proof.
  induction xs as [| x xs IH]; unfold size in *; simpl; [lra |].
  generalize (Rabs_pos x); lra.
Qed.

Lemma abs_sum_le_size : forall xs, Rabs (sum xs) <= size xs.
Proof.
  induction xs as [| x xs IH]; unfold size in *; simpl; [rewrite Rabs_R0; lra |].
  eapply Rle_trans; [apply Rabs_triang | lra].
Qed.

Lemma multiple_sum : forall e xs, Forall (multiple e) xs -> multiple e (sum xs).
Proof.
  intros e xs H; induction H as [| x xs [n ->] _ [m Hm]]; simpl.
  - exists 0%Z; ring.
  - exists (n + m)%Z; rewrite Hm, plus_IZR; ring.
Qed.

(** A multiple of 2^e of at most 2^24 of them is a float. *)
Lemma multiple_format : forall e x, (emin <= e)%Z -> multiple e x -> Rabs x <= bpow radix2 (prec + e) -> format x.
Proof.
  intros e x He [n Hn] Hx.
  apply generic_format_FLT.
  assert (Hb : (Z.abs n <= 2 ^ prec)%Z).
  { apply le_IZR; rewrite abs_IZR; apply Rmult_le_reg_r with (bpow radix2 e); [apply bpow_gt_0 |].
    rewrite <- (Rabs_pos_eq (bpow radix2 e)) at 1 by apply bpow_ge_0.
    rewrite <- Rabs_mult, <- Hn.
    change (IZR (2 ^ prec)) with (bpow radix2 prec); now rewrite <- bpow_plus. }
  destruct (Z.eq_dec (Z.abs n) (2 ^ prec)) as [Heq | Hne].
  - (* exactly 2^24 quanta: one unit of a quantum 2^24 times as large *)
    exists (Float radix2 (Z.sgn n) (e + prec)).
    + rewrite Hn; unfold F2R; simpl.
      rewrite (Z.add_comm e), bpow_plus, <- Rmult_assoc; f_equal.
      change (bpow radix2 prec) with (IZR (2 ^ prec)); rewrite <- mult_IZR, <- Heq; f_equal.
      now rewrite Z.mul_comm, Z.abs_sgn.
    + simpl; unfold prec; destruct n; simpl; lia.
    + simpl; unfold prec, emin in *; lia.
  - exists (Float radix2 n e).
    + exact Hn.
    + change (Z.abs n < 2 ^ prec)%Z; apply Z.le_neq; now split.
    + exact He.
Qed.

Theorem sums_exact : forall e t, (emin <= e)%Z -> Forall (multiple e) (terms t) ->
  size (terms t) <= bpow radix2 (prec + e) ->
  fvalue t = sum (terms t).
Proof.
  intros e t He; induction t as [x | l IHl r IHr]; cbn [terms fvalue]; intros Hm Hs; [simpl; ring |].
  apply Forall_app in Hm; destruct Hm as [Hl Hr]; rewrite size_app in Hs.
  generalize (size_nonneg (terms l)) (size_nonneg (terms r)); intros.
  rewrite (IHl Hl) by lra; rewrite (IHr Hr) by lra; rewrite sum_app.
  unfold fadd; apply rnd_format, (multiple_format e); auto.
  - rewrite <- sum_app; apply multiple_sum, Forall_app; now split.
  - rewrite <- sum_app; eapply Rle_trans; [apply abs_sum_le_size |]; rewrite size_app; lra.
Qed.

(** Nothing on the way is larger than the sum of absolute values. *)
Theorem partials_bounded : forall e t, (emin <= e)%Z -> Forall (multiple e) (terms t) ->
  size (terms t) <= bpow radix2 (prec + e) ->
  Forall (fun x => Rabs x <= size (terms t)) (partials t).
Proof.
  intros e t He Hm Hs.
  assert (G : forall u, Forall (multiple e) (terms u) -> size (terms u) <= bpow radix2 (prec + e) ->
              Rabs (fvalue u) <= size (terms u)).
  { intros u Hu Su; rewrite (sums_exact e u) by auto; apply abs_sum_le_size. }
  induction t as [x | l IHl r IHr].
  - simpl; constructor; [apply (G (Leaf x)); auto | constructor].
  - cbn [terms partials] in Hm, Hs |- *.
    assert (Hm' := Hm); apply Forall_app in Hm; destruct Hm as [Hl Hr].
    assert (Hs' := Hs); rewrite size_app in Hs |- *.
    generalize (size_nonneg (terms l)) (size_nonneg (terms r)); intros.
    constructor.
    + rewrite <- size_app; apply (G (Node l r)); auto.
    + apply Forall_app; split.
      * eapply Forall_impl; [| apply IHl; auto; lra]; simpl; intros; lra.
      * eapply Forall_impl; [| apply IHr; auto; lra]; simpl; intros; lra.
Qed.

Lemma sum_permutation : forall xs ys, Permutation xs ys -> sum xs = sum ys.
Proof.
  intros xs ys H; induction H as [| x xs ys _ IH | x y xs | xs ys zs _ IH1 _ IH2]; simpl;
    [reflexivity | rewrite IH | | rewrite IH1]; auto; ring.
Qed.

Lemma size_permutation : forall xs ys, Permutation xs ys -> size xs = size ys.
Proof. intros xs ys H; apply sum_permutation, Permutation_map, H. Qed.

(** Any bracketing in any order gives the same float. *)
Corollary any_order : forall e s t, (emin <= e)%Z -> Forall (multiple e) (terms s) ->
  size (terms s) <= bpow radix2 (prec + e) -> Permutation (terms s) (terms t) ->
  fvalue s = fvalue t.
Proof.
  intros e s t He Hm Hs HP.
  rewrite (sums_exact e s), (sums_exact e t); auto.
  - now apply sum_permutation.
  - now apply (Permutation_Forall HP).
  - now rewrite <- (size_permutation _ _ HP).
Qed.

Print Assumptions any_order.
