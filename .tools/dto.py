#!/usr/bin/env python3
"""Gives DTOs the names that their `#[schemars(rename)]` say. Run in the root of a clean tree."""
import re, glob, sys, os
files=[f for f in glob.glob('src/**/*.rs',recursive=True)]
texts={f:open(f).read() for f in files}
TOKEN=re.compile(r'(//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\])*"|r#".*?"#|\'(?:\\.|[^\'\\])\')|([A-Za-z_]\w*)',re.S)
def idents(text): return {m.group(2) for m in TOKEN.finditer(text) if m.group(2)}
def rename(text,old,new):
    def sub(m):
        if m.group(1) is not None:
            if m.group(1).startswith('//'): return re.sub(r'`((?:\w+::)*)'+old+r'((?:::\w+)*)`',r'`\g<1>'+new+r'\2`',m.group(1))
            return m.group(1)
        return new if m.group(2)==old else m.group(2)
    return TOKEN.sub(sub,text)
ATTR=re.compile(r'[ ]*#\[schemars\(rename = "(\w+)"(?:, )?([^\]]*)\)\]\n((?:[ ]*#\[[^\n]*\]\n|[ ]*//[^\n]*\n)*)([ ]*)(pub(?:\([^)]*\))? )?(struct|enum) (\w+)')
done=skipped=0
for f in sorted(files):
    while True:
        text=texts[f]
        for m in ATTR.finditer(text):
            new,rest,between,indent,vis,kind,old=m.groups()
            if (f,old,new) in globals().setdefault('seen',set()): continue
            seen.add((f,old,new))
            def strip(t):
                i=m.start()
                a=m.group(0)
                line_end=a.index('\n')+1
                keep='' if not rest else f'{indent}#[schemars({rest})]\n'
                return t[:m.start()]+keep+a[line_end:]+t[m.end():]
            if old==new: texts[f]=strip(text); break
            ids=idents(text)
            if new in ids: skipped+=1; print('taken',f,old,new); continue
            mod=os.path.basename(f)[:-3]
            if mod=='mod': mod=os.path.basename(os.path.dirname(f))
            others=[]
            ok=True
            if vis:
                for g in files:
                    if g==f: continue
                    t=texts[g]
                    if old not in idents(t): continue
                    imports=re.search(r'\b'+mod+r'::(?:\{[^;]*?\b'+old+r'\b[^;]*?\}|'+old+r'\b)',t)
                    supers=(g.startswith(os.path.dirname(f)+'/'+mod+'/') or (f.endswith('mod.rs') and g.startswith(os.path.dirname(f)+'/'))) and re.search(r'super::(?:\{[^;]*?\b'+old+r'\b|'+old+r'\b)',t)
                    if imports or supers:
                        if new in idents(t): ok=False; print('taken in',g,old,new); break
                        # it has its own of that name?
                        if re.search(r'(struct|enum) '+old+r'\b',t): 
                            others.append((g,'path')); continue
                        others.append((g,'all'))
            if not ok: skipped+=1; continue
            texts[f]=rename(strip(text),old,new)
            for g,how in others:
                if how=='all': texts[g]=rename(texts[g],old,new)
                else: texts[g]=re.sub(r'\b'+mod+'::'+old+r'\b',mod+'::'+new,texts[g])
            done+=1
            break
        else: break
for f in files: open(f,'w').write(texts[f])
print('renamed',done,'left',skipped)
