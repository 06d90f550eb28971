//! Sessions in Workers KV: the machine of a session's object, run for one command at a time.
//!
//! There is no second set of states and no second format: the row is read, the machine takes the
//! command, its effects are carried out, its work is done and handed back to it. What an object
//! gives by being the only writer KV can't give, and a weaker rule stands in its place; the table
//! is in `docs/kv.md`.
//!
//! | an object | here |
//! |---|---|
//! | one writer, one input at a time | a tombstone before every end, looked for before and after every write of a record (`rows`); the isolate that wrote it needs no look (`isolate`) |
//! | one login, one refresh | one in each isolate (`isolate`); so the provider must not rotate, or nothing is refreshed |
//! | `sending` is written before a refresh leaves | it isn't: without rotation an answer that is lost costs nothing, and KV takes one write a second |
//! | alarms | times to live; a limit that has passed ends a session when it is read |
//! | a subject's index | markers, and no list (`markers`, `subjects`) |

mod isolate;
mod markers;
mod rows;
mod subjects;
mod writes;

use std::{cell::RefCell, time::Duration};

pub use isolate::Isolate;
pub use markers::end_before;
pub use subjects::ask_subject;

use self::{
    isolate::{LONGEST_LOGIN, LONGEST_REFRESH},
    rows::{Found, Rows, Standing, Write},
};
use super::{
    context::{ObjectContext, ObjectPorts},
    ports::{KeyValue, StoreError},
    work,
};
use crate::{
    audit::Event,
    session::{
        CallerId, Command, Effect, EndReason, Envelope, Input, Machine, PROTOCOL, Reply,
        SessionKey, Work,
    },
};

/// Whoever sent the command.
const CALLER: CallerId = CallerId(0);
/// Nobody: an input of ours.
const NOBODY: CallerId = CallerId(1);

/// How often it is looked whether what another call has out is back.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Takes a command and answers it, once, as soon as the answer is known. The future goes on until
/// all is done that the command led to (a refresh ahead of time, a revocation), and has to be run
/// to its end whether or not anybody waits.
pub async fn ask<P: ObjectPorts, K: KeyValue>(
    ctx: &ObjectContext<'_, P>,
    store: &K,
    isolate: &RefCell<Isolate>,
    envelope: Envelope,
    answer: impl FnOnce(Reply),
) {
    let session = envelope.session_key.clone();
    let mut run = Run { ctx, store, isolate, session: &session, answer: Some(answer) };
    loop {
        match run.pass(envelope.clone()).await {
            Ok(Pass::Done) => break,
            Ok(Pass::OtherIsOut) => run.wait_for_the_other().await,
            Err(StoreError) => {
                run.answer(Reply::Broken);
                break;
            }
        }
    }
}

/// What became of a try.
enum Pass {
    Done,
    /// Another call of this isolate has the same login or a refresh out, whose result is this one's.
    OtherIsOut,
}

/// One command under way.
struct Run<'a, P, K, A> {
    ctx: &'a ObjectContext<'a, P>,
    store: &'a K,
    isolate: &'a RefCell<Isolate>,
    session: &'a SessionKey,
    answer: Option<A>,
}

impl<'a, P: ObjectPorts, K: KeyValue, A: FnOnce(Reply)> Run<'a, P, K, A> {
    async fn pass(&mut self, envelope: Envelope) -> Result<Pass, StoreError> {
        let is_login = matches!(envelope.command, Command::Login(_));
        // What it gives isn't bound to what is written, and to wait would take a second.
        let answers_first = matches!(envelope.command, Command::RedeemLogout { .. });
        if is_login && self.is_out() {
            return Ok(Pass::OtherIsOut);
        }
        let mut rows = Rows::new(self.ctx, self.store, self.isolate, self.session);
        let Found { row, over } = rows.find(&envelope.command).await?;
        let gates = self.isolate.borrow().gates(self.session, self.ctx.ports.now());
        let mut machine = Machine::load(self.ctx.config.clone(), row.as_deref()).with_gates(gates);
        let mut to_do = ToDo::new(envelope, over);
        let mut flight: Option<Flight<'a>> = None;
        // What a refresh under way is to be written with, once it is back.
        let mut held: Option<Write> = None;
        while let Some(input) = to_do.next(self.ctx).await {
            let mut step = self.step(&mut machine, input);
            if step.logs_in() || step.refreshes() {
                let longest = if step.logs_in() { LONGEST_LOGIN } else { LONGEST_REFRESH };
                flight = flight.or_else(|| self.take_off(longest));
                if flight.is_none() {
                    return Ok(self.leave_to_the_other(step.reply));
                }
            }
            if step.refreshes() {
                held = step.write.take();
            }
            // Another pass may have begun before what this one has come to know.
            if flight.is_some() {
                let now = self.ctx.ports.now();
                self.isolate.borrow_mut().keep_gates(self.session, machine.gates(), now);
            }
            if answers_first && let Some(reply) = step.reply.take() {
                self.answer(reply);
            }
            if let Some(write) = step.write {
                held = None;
                let reply = match rows.write(write).await {
                    Ok(Standing::Stands) => None,
                    Ok(Standing::IsOver(failure)) if is_login => Some(Reply::LoginFailed(failure)),
                    Ok(Standing::IsOver(_)) => Some(Reply::NoSession),
                    Err(StoreError) if is_login => Some(Reply::Broken),
                    Err(StoreError) => return Err(StoreError),
                };
                if let Some(reply) = reply {
                    let is_broken = matches!(reply, Reply::Broken);
                    self.answer(reply);
                    if is_broken {
                        rows.take_back().await;
                    }
                    if is_login {
                        self.disown(machine).await;
                    }
                    return Ok(Pass::Done);
                }
            }
            if let Some(reply) = step.reply {
                self.answer(reply);
            }
            step.events.into_iter().for_each(|event| self.ctx.ports.record(event));
            to_do.works.extend(step.works);
        }
        if let Some(write) = held {
            let _told_already = rows.write(write).await?;
        }
        rows.write_again().await?;
        Ok(Pass::Done)
    }

    fn step(&self, machine: &mut Machine, input: Input) -> Step {
        let ports = self.ctx.ports;
        Step::of(machine.handle(input, ports.now(), &mut |bytes| ports.fill(bytes)))
    }

    fn answer(&mut self, reply: Reply) {
        if let Some(answer) = self.answer.take() {
            answer(reply);
        }
    }

    fn is_out(&self) -> bool {
        self.isolate.borrow().is_out(self.session, self.ctx.ports.now())
    }

    /// Notes that a login or refresh of this session is out, if none is.
    fn take_off(&self, longest: Duration) -> Option<Flight<'a>> {
        if self.is_out() {
            return None;
        }
        let (isolate, session) = (self.isolate, self.session);
        isolate.borrow_mut().goes_out(session, longest, self.ctx.ports.now());
        Some(Flight { isolate, session })
    }

    /// Whoever has a token to go on with takes it; the others wait.
    fn leave_to_the_other(&mut self, reply: Option<Reply>) -> Pass {
        match reply {
            Some(reply) => {
                self.answer(reply);
                Pass::Done
            }
            None => Pass::OtherIsOut,
        }
    }

    async fn wait_for_the_other(&self) {
        while self.is_out() {
            self.store.wait(LOOK_AGAIN).await;
        }
    }

    /// Takes back what a login brought whose session had ended before it was there, or that KV
    /// didn't take: nobody else knows of it.
    async fn disown(&self, mut machine: Machine) {
        let command = Command::Close { reason: EndReason::Logout };
        let session_key = self.session.clone();
        let envelope = Envelope { protocol: PROTOCOL, session_key, command };
        let step = self.step(&mut machine, Input::Command { caller: NOBODY, envelope });
        for work in step.works {
            let input = work::done(self.ctx, work).await;
            let step = self.step(&mut machine, input);
            step.events.into_iter().for_each(|event| self.ctx.ports.record(event));
        }
    }
}

/// A login or refresh of this isolate's that is out; back when this is dropped, whatever came of
/// it.
struct Flight<'a> {
    isolate: &'a RefCell<Isolate>,
    session: &'a SessionKey,
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.isolate.borrow_mut().is_back(self.session);
    }
}

/// What a pass still has to hand to the machine.
struct ToDo {
    over: Option<Input>,
    command: Option<Input>,
    works: Vec<Work>,
}

impl ToDo {
    fn new(envelope: Envelope, over: Option<EndReason>) -> Self {
        let over = over.and_then(|reason| end(&envelope, reason));
        let command = Some(Input::Command { caller: CALLER, envelope });
        Self { over, command, works: Vec::new() }
    }

    /// The next input; work is done for it where there is no other.
    async fn next<P: ObjectPorts>(&mut self, ctx: &ObjectContext<'_, P>) -> Option<Input> {
        if let Some(input) = self.over.take().or_else(|| self.command.take()) {
            return Some(input);
        }
        if self.works.is_empty() {
            return None;
        }
        Some(work::done(ctx, self.works.remove(0)).await)
    }
}

/// The effects of one input, by kind.
#[derive(Default)]
struct Step {
    write: Option<Write>,
    works: Vec<Work>,
    reply: Option<Reply>,
    events: Vec<Event>,
}

impl Step {
    fn of(effects: Vec<Effect>) -> Self {
        let mut step = Self::default();
        for effect in effects {
            match effect {
                Effect::Put(row) => step.write = Some(Write::Row(row)),
                Effect::DeleteAll => step.write = Some(Write::Nothing),
                // The time to live is the sweep, and nothing lists a subject's sessions.
                Effect::SetAlarm(_) | Effect::Unlist { .. } => {}
                Effect::Start(work) => step.works.push(work),
                Effect::Reply(caller, reply) if caller == CALLER => step.reply = Some(reply),
                Effect::Reply(_, _) => {}
                Effect::Audit(event) => step.events.push(event),
            }
        }
        step
    }

    fn logs_in(&self) -> bool {
        self.works.iter().any(|work| matches!(work, Work::Login(_)))
    }

    fn refreshes(&self) -> bool {
        self.works.iter().any(|work| matches!(work, Work::Refresh(_)))
    }
}

/// Ends the session that a command is about; opened with the command's own cookie, so that the
/// provider is told too.
fn end(envelope: &Envelope, reason: EndReason) -> Option<Input> {
    let (Command::Access { session_id, .. } | Command::Status { session_id, .. }) =
        &envelope.command
    else {
        return None;
    };
    let command = Command::End { session_id: session_id.clone(), reason, keep_id_token: false };
    let session_key = envelope.session_key.clone();
    let envelope = Envelope { protocol: PROTOCOL, session_key, command };
    Some(Input::Command { caller: NOBODY, envelope })
}
