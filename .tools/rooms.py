#!/usr/bin/env python3
"""Moves the files of src/session into rooms, and rewrites the paths. Run in the root of a clean tree."""
import os, re, subprocess, sys, glob
S='src/session'
ROOM={  # old module -> new path under session
 'connection':'connection','supervisor':'connection/supervisor','signal':'connection/disconnect','stream_error':'connection/stream_error',
 'line':'connection/transport','socket':'connection/socket','wire_gate':'connection/wire_gate','pressure':'connection/pressure',
 'frame_watch':'connection/frame_watch','health':'connection/health','version':'connection/version','agent':'connection/agent','web':'connection/web',
 'rotation':'pairing/qr_rotation','pairing_code':'pairing/code','passkey':'pairing/passkey','pairing_mark':'pairing/mark','own_account':'pairing/own_account',
 'hook':'inbound/hook','translate':'inbound/translate','content':'inbound/content','votes':'inbound/poll_votes','edits':'inbound/edits','secrets':'inbound/message_secrets',
 'surrogates':'inbound/surrogates','recorder':'inbound/recorder','bare':'inbound/bare','recoveries':'inbound/recoveries','calls':'inbound/calls',
 'group_news':'inbound/group_changes','timers':'inbound/timers','devices':'inbound/unknown_devices',
 'sending':'send/accept','compose':'send/compose','posts':'send/channel_posts','statuses':'send/status_broadcast','courier':'send/courier','answers':'send/answers',
 'judgement':'send/judgement','manners':'send/manners','pacing':'send/pacing',
 'asking':'requests','pace':'requests/pace','chats':'requests/chats','channels':'requests/channels','groups':'requests/groups','labels':'requests/labels',
 'people':'requests/contacts','profile':'requests/profile','presence':'requests/presence','signs':'requests/read_receipts','limits':'requests/account_limits',
 'synced':'app_state/buffer','skipped':'app_state/refetch','first_sync':'app_state/first_sync',
 'past':'history/fetch','told':'history/parse',
 'states':'state_events',
}
FOLDER_ROOMS={'connection','requests'}   # their mod.rs is a moved file
DOCS={
 'pairing':'//! A phone is linked: by a QR code, by a code that is typed into it, by a passkey; and whose account the tenant then is.',
 'inbound':'//! From what WhatsApp says to our messages and events. Nothing is acked before it is durable.',
 'send':'//! From a draft to the wire: what is accepted is in the outbox, and the courier carries it.',
 'app_state':'//! Settings that all devices of an account share: contacts, labels, the archive, names.',
 'history':'//! Older messages of a chat, which the phone tells when it is asked.',
}
mods={os.path.basename(p)[:-3] for p in glob.glob(S+'/*.rs')}-{'mod'} | {d for d in os.listdir(S) if os.path.isdir(f'{S}/{d}')}
ROOM={k:v for k,v in ROOM.items() if k in mods}

def new_module(path):      # ['session','courier','X'] -> new
    if len(path)>=2 and path[0]=='session' and path[1] in ROOM:
        return ['session']+ROOM[path[1]].split('/')+path[2:]
    return path

# ---- use trees
def split_top(s):
    out,d,cur=[],0,''
    for c in s:
        if c=='{': d+=1
        if c=='}': d-=1
        if c==',' and d==0: out.append(cur); cur=''
        else: cur+=c
    if cur.strip(): out.append(cur)
    return [x.strip() for x in out if x.strip()]
def leaves(tree,prefix=()):
    tree=tree.strip()
    m=re.match(r'^((?:[A-Za-z_0-9]+::)*)\{(.*)\}$',tree,re.S)
    if m:
        pre=prefix+tuple(x for x in m.group(1).split('::') if x)
        return [l for t in split_top(m.group(2)) for l in leaves(t,pre)]
    alias=None
    m=re.match(r'^(.*?)\s+as\s+(\w+)$',tree,re.S)
    if m: tree,alias=m.group(1).strip(),m.group(2)
    return [(prefix+tuple(tree.split('::')),alias)]
def fmt(ls):
    trie={}
    for path,alias in ls:
        t=trie
        for p in path[:-1]: t=t.setdefault(p,{})
        t.setdefault(('leaf',),set()).add((path[-1],alias))
    def out(t):
        items=[]
        for n,a in sorted(t.get(('leaf',),set()),key=str): items.append(n+(f' as {a}' if a else ''))
        for k in sorted(k for k in t if k!=('leaf',)):
            inner=out(t[k])
            # a module that is imported itself, and something of it
            items.append(f'{k}::{inner[0]}' if len(inner)==1 and inner[0]!='self' and not inner[0].startswith('self ') else f'{k}::{{{", ".join(inner)}}}')
        return items
    for t_name in list(trie):
        pass
    return out(trie)
USE=re.compile(r'^(?P<indent>[ ]*)(?P<vis>pub(?:\([a-z: ]+\))? )?use (?P<tree>[^;]+);',re.M)

def rewrite(text, old, new):
    """old/new: module path lists, ['session','courier']."""
    def absolute(path, depth_mod):
        p=list(path)
        if p[0]=='crate': return p[1:]
        base=list(depth_mod)
        if p[0] in('super','self'):
            while p and p[0] in('super','self'):
                if p[0]=='super': base=base[:-1]
                p=p[1:]
            return base+p
        return None
    def in_mod(text,pos):   # within `mod tests {` or another inline module?
        before=text[:pos]
        m=[x for x in re.finditer(r'^mod (\w+) \{',before,re.M)]
        return [m[-1].group(1)] if m else []
    def sub(m):
        inner=in_mod(text,m.start())
        mod_old, mod_new = old+inner, new+inner
        keep,crate_,sup=[],[],[]
        for path,alias in leaves(re.sub(r'\s+',' ',m['tree'])):
            if path==('super','*') : keep.append((path,alias)); continue
            a=absolute(path,mod_old)
            if a is None: keep.append((path,alias)); continue
            a_dir=a
            t=new_module(a)
            is_mod_self = len(a)==2 and a[0]=='session' and a[1] in ROOM and t[-1]!=a[1] and alias is None
            if is_mod_self: alias=a[1] if False else alias
            if is_mod_self: renamed_modules.add((a[1],t[-1]))
            # emission
            parent=mod_new[:-1]
            if t[:len(mod_new)]==mod_new and len(t)==len(mod_new)+1 and new[-1] in FOLDER_ROOMS and t[-1].islower() and '/'.join(t[1:]) in ROOM.values(): continue
            if t[:len(mod_new)]==mod_new and len(t)>len(mod_new): sup.append((('self',)+tuple(t[len(mod_new):]),alias))
            elif path[0]!='crate' and t[:len(parent)]==parent and len(t)>len(parent) and len(parent)>1: sup.append((('super',)+tuple(t[len(parent):]),alias))
            elif path[0]!='crate' and t[0]=='session' and len(parent)==1 and parent==['session']: sup.append((('super',)+tuple(t[1:]),alias))
            else: crate_.append((('crate',)+tuple(t),alias))
        vis=m['vis'] or ''
        out=[]
        for group in (keep,sup,crate_):
            roots={}
            for l in group: roots.setdefault(l[0][0],[]).append(l)
            for r,ls in roots.items():
                items=fmt(ls)
                out += [f'{m["indent"]}{vis}use {i};' for i in items]
        return '\n'.join(out)
    renamed_modules=set()
    text=USE.sub(sub,text)
    # merge several `use crate::` of one block
    text=merge(text,'crate'); text=merge(text,'super'); text=merge(text,'self')
    # inline paths
    def inline(m):
        a=absolute(m.group(0).split('::'),old+in_mod(text,m.start()))
        if a and len(a)>=2 and a[0]=='session' and a[1] in ROOM: return 'crate::'+'::'.join(new_module(a))
        if a and a[0]=='session' and m.group(0).startswith('super') and len(new)!=len(old): return 'crate::'+'::'.join(a)
        return m.group(0)
    lines=[]
    text=re.sub(r'(?<![\w:])(?:crate::session::|(?:super::)+|self::)(?:\w+)(?:::\w+)*',lambda m: inline(m) if not is_in_use(text,m.start()) else m.group(0),text)
    for o,n in renamed_modules:
        text=re.sub(r'(?<![\w:.])'+o+r'::(?=[\w{])',n+'::',text)
    return text
def is_in_use(text,pos):
    start=text.rfind('\n',0,pos)
    # within a use statement?
    i=text.rfind('use ',0,pos)
    return i>=0 and ';' not in text[i:pos] and re.search(r'(^|\n)[ ]*(pub(\([a-z: ]+\))? )?$',text[:i]) is not None
def merge(text,root):
    pat=re.compile(r'^use '+root+r'::[^;]+;\n',re.M)
    found=[m for m in pat.finditer(text)]
    # Only those without an attribute before them.
    found=[m for m in found if not re.search(r'\]\n$',text[:m.start()][-40:])]
    if len(found)<2: return text
    ls=[l for m in found for l in leaves(re.sub(r'\s+',' ',m.group(0)[4:-2]))]
    new='use '+fmt(ls)[0]+';\n'
    for m in reversed(found[:-1]): pass
    out,last='',0
    for i,m in enumerate(found):
        out+=text[last:m.start()]+(new if i==len(found)-1 else '')
        last=m.end()
    return out+text[last:]

files={}
for f in glob.glob(S+'/**/*.rs',recursive=True):
    rel=f[len(S)+1:-3].split('/')
    old=['session']+[p for p in rel if p!='mod']
    files[f]=old
texts={f:open(f).read() for f in files}
moves={}
for f,old in files.items():
    if len(old)==1: moves[f]=f; continue
    new=new_module(old)
    is_folder = f.endswith('/mod.rs') or (len(old)==2 and ROOM.get(old[1]) in FOLDER_ROOMS)
    moves[f]=('src/'+'/'.join(new)+('/mod.rs' if is_folder else '.rs'))
for f,t in moves.items():
    if f!=t:
        os.makedirs(os.path.dirname(t),exist_ok=True)
        subprocess.check_call(['git','mv',f,t])
rooms={}
for o,p in ROOM.items():
    if '/' in p: rooms.setdefault(p.split('/')[0],set()).add(p.split('/')[1])
for f,old in files.items():
    new=new_module(old) if len(old)>1 else old
    text=rewrite(texts[f],old,new)
    if f==S+'/mod.rs':
        PUBS=pubs=set(re.findall(r'^pub mod (\w+);',text,re.M))
        text=re.sub(r'^(pub )?mod \w+;\n','',text,flags=re.M)
        tops=sorted({ROOM.get(m,m).split('/')[0] for m in mods})
        decl=''.join(f'mod {t};\n' for t in tops)
        for p in pubs:
            if p in ROOM:
                room,name=ROOM[p].split('/')
                i=text.index('pub use self::{'); j=text.index('};',i)
                text=text[:i]+text[i:j].replace(f'{room}::{{',f'{room}::{{{name}, ',1)+text[j:]
        i=text.index('/// Bytes as a message')
        head,body=text[:i],text[i:]
        for o,p in ROOM.items():
            if p!=o: body=re.sub(r'(?<![\w:.])'+o+r'::(?=[\w{<])',p.replace('/','::')+'::',body)
        text=head+body
        i=text.index('\nuse std')
        text=text[:i].rstrip('\n')+'\n\n'+decl+text[i:]
    if new!=old and len(old)==2 and not (len(new)==2):
        text=text.replace('pub(super)','pub(in crate::session)')
    elif new!=old and len(old)==2:
        text=text.replace('pub(super)','pub(in crate::session)')
    files[f]=text
    open(moves[f],'w').write(text)
for room,names in rooms.items():
    path=f'{S}/{room}/mod.rs'
    decl=''.join(('pub mod' if n in PUBS else 'pub(super) mod')+f' {n};\n' for n in sorted(names))
    if os.path.exists(path):
        text=open(path).read()
        m=re.search(r'\n(?=(use |mod |#\[))',text)
        text=text[:m.start()]+'\n'+decl+text[m.start():]
    else:
        text=DOCS[room]+'\n\n'+decl
    open(path,'w').write(text)
# other places that name a file
for f in ['src/ARCHITECTURE.md','.github/CONTRIBUTING.md','tests/it/console_words.rs']:
    text=open(f).read()
    for o,p in sorted(ROOM.items(),key=lambda x:-len(x[0])):
        to=p+('/mod.rs' if p in FOLDER_ROOMS else '.rs')
        text=text.replace(f'session/{o}.rs',f'session/{to}').replace(f'session/{o}/',f'session/{p}/') if p!='connection' or True else text
    open(f,'w').write(text)
