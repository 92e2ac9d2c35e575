(** The closure argument of a certificate (docs/certificates.md, "Why a finite proof is possible").

    A stage reads vectors and keeps a state. If a set of events holds the event of the start and is closed under every
    letter, then for *every* word, of any length, each prefix ends in an event of the set; so what holds of all events
    holds after every prefix of every word. Stages compose. *)

From Coq Require Import List.
Import ListNotations.

(** A walk in a graph whose edges carry letters. *)
Inductive walk {letter node : Type} (edge : node -> letter -> node -> Prop) : node -> list letter -> node -> Prop :=
| Here : forall n, walk edge n [] n
| There : forall m w n a n', walk edge m w n -> edge n a n' -> walk edge m (w ++ [a]) n'.

Section Stage.

(** Letters; nodes of the graph that comes in (letter, state of the DFA, vector); the block's own states; vectors. *)
Variable letter node state vector : Type.
Variable edge : node -> letter -> node -> Prop.
Variable first : node.

(** The block's own function, on what it sees of a node: to its new state and the vector that goes out. *)
Variable begin : node -> state * vector.
Variable step : state -> node -> state * vector.

(** What the stage does along a word: the node, its own state and its output at the end. *)
Inductive runs : list letter -> node -> state -> vector -> Prop :=
| Begins : runs [] first (fst (begin first)) (snd (begin first))
| Continues : forall w n s v a n',
    runs w n s v -> edge n a n' -> runs (w ++ [a]) n' (fst (step s n')) (snd (step s n')).

(** A set of events (node, own state, output) that holds the first and is closed: what a certificate lists. *)
Variable event : node -> state -> vector -> Prop.
Hypothesis starts : event first (fst (begin first)) (snd (begin first)).
Hypothesis closed : forall n s v a n',
  event n s v -> edge n a n' -> event n' (fst (step s n')) (snd (step s n')).

(** Every word, of any length, stays among the events. *)
Theorem every_word : forall w n s v, runs w n s v -> event n s v.
Proof. intros w n s v H; induction H; eauto. Qed.

(** So what was checked of each event holds after every prefix of every word. *)
Corollary checked_once : forall P : node -> vector -> Prop,
  (forall n s v, event n s v -> P n v) -> forall w n s v, runs w n s v -> P n v.
Proof. intros P H w n s v R; eapply H, every_word, R. Qed.

(** The graph of the next stage forgets own states: its edges are the listed steps. *)
Definition next_edge (x : node * vector) (a : letter) (y : node * vector) : Prop :=
  exists s, event (fst x) s (snd x) /\ edge (fst x) a (fst y) /\ snd y = snd (step s (fst y)).

(** What comes out along any word is a walk in it, which is what the next stage supposes of what comes in. *)
Theorem next_stage : forall w n s v, runs w n s v -> walk next_edge (first, snd (begin first)) w (n, v).
Proof.
  intros w n s v R; induction R as [| w n s v a n' R IH E]; [constructor |].
  eapply There; [exact IH |].
  exists s; simpl; repeat split; auto; eapply every_word, R.
Qed.

End Stage.

Print Assumptions next_stage.
