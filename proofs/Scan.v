(** The scan lemma, with signs (docs/certificates.md, docs/walkthroughs/scan_lemma.md).

    A pair (gate, write) of floats is good if the gate is 0, or the gate is 1 or -1 and the write is 0. If all pairs are
    good, every bracketing of the parallel scan gives, in floats, the numbers of the recurrence: nothing is rounded. *)

From Coq Require Import Reals ZArith Psatz List.
From Flocq Require Import Core.
Require Import Floats.
Import ListNotations.

Open Scope R_scope.

Definition pair : Type := (R * R)%type.

(** (a, b) o (a', b') = (a a', a' b + b'), over the reals and in floats. *)
Definition compose (p q : pair) : pair := (fst p * fst q, fst q * snd p + snd q).
Definition fcompose (p q : pair) : pair := (fmul (fst p) (fst q), fadd (fmul (fst q) (snd p)) (snd q)).

Definition good (p : pair) : Prop :=
  format (snd p) /\ (fst p = 0 \/ ((fst p = 1 \/ fst p = -1) /\ snd p = 0)).

(** A bracketing of a scan: a binary tree whose leaves, from left to right, are the pairs. *)
Inductive tree : Type :=
| Leaf : pair -> tree
| Node : tree -> tree -> tree.

Fixpoint leaves (t : tree) : list pair :=
  match t with
  | Leaf p => [p]
  | Node l r => leaves l ++ leaves r
  end.

Fixpoint value (op : pair -> pair -> pair) (t : tree) : pair :=
  match t with
  | Leaf p => p
  | Node l r => op (value op l) (value op r)
  end.

(** The recurrence h <- a h + b, over the reals and in floats. *)
Definition recurrence (h : R) (ps : list pair) : R := fold_left (fun h p => fst p * h + snd p) ps h.
Definition frecurrence (h : R) (ps : list pair) : R := fold_left (fun h p => fadd (fmul (fst p) h) (snd p)) ps h.

(** What a pair does to a state, in floats. *)
Definition fapply (p : pair) (h : R) : R := fadd (fmul (fst p) h) (snd p).

Lemma times_gate : forall p x, good p -> format x -> format (fst p * x).
Proof.
  intros [a b] x [_ H] Hx; simpl in *.
  destruct H as [-> | [[-> | ->] _]].
  - rewrite Rmult_0_l; apply format_0.
  - now rewrite Rmult_1_l.
  - replace (-1 * x) with (- x) by ring; now apply format_opp.
Qed.

(** One step of the recurrence from a float is exact. *)
Lemma step_exact : forall p h, good p -> format h ->
  fapply p h = fst p * h + snd p /\ format (fst p * h + snd p).
Proof.
  intros p h Hp Hh.
  assert (Hm : format (fst p * h)) by now apply times_gate.
  assert (Hs : format (fst p * h + snd p)).
  { destruct p as [a b]; destruct Hp as [Hb H]; simpl in *.
    destruct H as [-> | [_ ->]].
    - now replace (0 * h + b) with b by ring.
    - now rewrite Rplus_0_r. }
  split; [| exact Hs].
  unfold fapply, fadd, fmul; now rewrite (rnd_format _ Hm), (rnd_format _ Hs).
Qed.

(** Good pairs compose exactly, and to a good pair. *)
Lemma compose_exact : forall p q, good p -> good q -> fcompose p q = compose p q /\ good (compose p q).
Proof.
  intros p q Hp Hq.
  assert (Hpf : format (snd p)) by apply Hp.
  destruct (step_exact q (snd p) Hq Hpf) as [He Hf].
  assert (Hg : format (fst p * fst q)).
  { apply times_gate; [exact Hp |].
    destruct Hq as [_ [-> | [[-> | ->] _]]]; [apply format_0 | apply format_1 |].
    replace (-1) with (- (1)) by ring; apply format_opp, format_1. }
  split.
  - unfold fcompose, compose; f_equal.
    + unfold fmul; now apply rnd_format.
    + exact He.
  - split; [exact Hf |].
    destruct p as [a b]; destruct q as [c d]; destruct Hp as [_ Hp]; destruct Hq as [_ Hq]; simpl in *.
    destruct Hq as [-> | [[-> | ->] ->]].
    + left; ring.
    + destruct Hp as [-> | [[-> | ->] ->]]; [left | right | right]; lra.
    + destruct Hp as [-> | [[-> | ->] ->]]; [left | right | right]; lra.
Qed.

Lemma bracketing_exact : forall t, Forall good (leaves t) ->
  value fcompose t = value compose t /\ good (value compose t).
Proof.
  induction t as [p | l IHl r IHr]; simpl; intros H.
  - split; [reflexivity | now inversion H].
  - apply Forall_app in H; destruct H as [Hl Hr].
    destruct (IHl Hl) as [El Gl]; destruct (IHr Hr) as [Er Gr].
    rewrite El, Er; now apply compose_exact.
Qed.

(** Over the reals a bracketing does to a state what the steps do, one after the other. *)
Lemma bracketing_recurrence : forall t h,
  fst (value compose t) * h + snd (value compose t) = recurrence h (leaves t).
Proof.
  induction t as [p | l IHl r IHr]; intros h; [reflexivity |].
  unfold recurrence in *; simpl; rewrite fold_left_app, <- IHl, <- IHr; simpl; ring.
Qed.

Lemma recurrence_exact : forall ps h, Forall good ps -> format h ->
  frecurrence h ps = recurrence h ps /\ format (recurrence h ps).
Proof.
  induction ps as [| p ps IH]; intros h H Hh; [now split |].
  inversion H as [| x xs Hp Hps]; subst; unfold frecurrence, recurrence; simpl.
  destruct (step_exact p h Hp Hh) as [He Hf]; unfold fapply in He; rewrite He; now apply IH.
Qed.

(** The scan lemma: whatever the bracketing, in floats, it is the recurrence's number, at any length. *)
Theorem scan_lemma : forall t h, Forall good (leaves t) -> format h ->
  fapply (value fcompose t) h = frecurrence h (leaves t).
Proof.
  intros t h H Hh.
  destruct (bracketing_exact t H) as [E G].
  destruct (step_exact _ h G Hh) as [He _].
  destruct (recurrence_exact _ h H Hh) as [Er _].
  now rewrite E, He, Er, bracketing_recurrence.
Qed.

(** Two bracketings of the same pairs agree, pair by pair and in floats. *)
Corollary any_two_bracketings : forall s t, leaves s = leaves t -> Forall good (leaves s) ->
  value fcompose s = value fcompose t.
Proof.
  intros s t E H.
  assert (H' : Forall good (leaves t)) by now rewrite <- E.
  destruct (bracketing_exact s H) as [-> _]; destruct (bracketing_exact t H') as [-> _].
  assert (S : forall x, fst (value compose s) * x + snd (value compose s)
                      = fst (value compose t) * x + snd (value compose t)).
  { intros x; now rewrite !bracketing_recurrence, E. }
  generalize (S 0) (S 1); destruct (value compose s), (value compose t); simpl; intros; f_equal; lra.
Qed.

Print Assumptions scan_lemma.
